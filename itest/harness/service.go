package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// service is one of our daemons, with a directory and a configuration of its own, whether it runs
// at the moment or not.
type service struct {
	Home   string // holds everything: the configuration, the data directory, the log
	Config string // path of the configuration file

	// Env is added to the environment, as NAME=VALUE, from the next start on.
	Env []string

	exe      string
	outlive  bool
	settings map[string]map[string]string // section, key, value as TOML; section "": before all others

	mu   *sync.Mutex
	proc *process
}

func newService(exe, home, config string, outlive bool) (service, error) {
	s := service{
		Home: home, Config: filepath.Join(home, config), exe: exe, outlive: outlive,
		settings: make(map[string]map[string]string), mu: new(sync.Mutex),
	}
	return s, os.MkdirAll(home, 0o700)
}

// name is that of the program.
func (s *service) name() string { return strings.TrimSuffix(filepath.Base(s.exe), exeSuffix()) }

// Set sets a line of the configuration, with the value as TOML, from the next start on.
func (s *service) Set(section, key, value string) {
	if s.settings[section] == nil {
		s.settings[section] = make(map[string]string)
	}
	s.settings[section][key] = value
}

// Unset removes a line of the configuration.
func (s *service) Unset(section, key string) { delete(s.settings[section], key) }

// WriteConfig writes the configuration file with the present settings.
func (s *service) WriteConfig() error {
	var text bytes.Buffer
	for _, section := range slices.Sorted(maps.Keys(s.settings)) {
		if section != "" {
			fmt.Fprintf(&text, "[%s]\n", section)
		}
		for _, key := range slices.Sorted(maps.Keys(s.settings[section])) {
			fmt.Fprintf(&text, "%s = %s\n", key, s.settings[section][key])
		}
		fmt.Fprintln(&text)
	}
	return os.WriteFile(s.Config, text.Bytes(), 0o600)
}

// startOn runs run until the service answers. The first start takes other ports if another program
// has taken ours.
func (s *service) startOn(ctx context.Context, newPort func() error, run func(context.Context) error) error {
	fresh := s.process() == nil
	for try := 1; ; try++ {
		err := run(ctx)
		if err == nil || !fresh || !portTaken(err) || try == startTries {
			return err
		}
		if err := newPort(); err != nil {
			return err
		}
	}
}

// launch writes the configuration and starts the program.
func (s *service) launch(flags ...string) error {
	if s.process().running() {
		return errors.New(s.name() + " is still running")
	}
	if err := s.WriteConfig(); err != nil {
		return err
	}
	proc, err := start(s.name(), s.logPath(), s.outlive, append(s.environ(), s.Env...), s.exe, flags...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc = proc
	return nil
}

func (s *service) environ() []string { return environ(s.Home) }

func (s *service) logPath() string { return filepath.Join(s.Home, s.name()+".log") }

func (s *service) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Stop asks the service to end, and waits.
func (s *service) Stop() error { return s.process().stop() }

// Kill9 ends the service at once, as a power cut would.
func (s *service) Kill9() error { return s.process().kill() }

// Abort ends a service that is stuck. The error contains the end of its log, and the path of the
// log.
func (s *service) Abort() error { return s.process().abort() }

// AwaitEnd waits until the service has ended by itself; a status other than 0 is an error.
func (s *service) AwaitEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	p := s.process()
	select {
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("%s still runs: %w", s.name(), ctx.Err())
	}
	if p.err != nil {
		return p.ended()
	}
	return nil
}

// PID is the id of the process.
func (s *service) PID() int { return s.process().cmd.Process.Pid }

// Running reports whether the process runs.
func (s *service) Running() bool { return s.process().running() }

// Log returns the last lines that the service wrote, over all its starts.
func (s *service) Log(lines int) string { return tail(s.logPath(), lines) }

// LogSize returns the number of bytes that the service has logged so far, over all its starts.
// LogFrom reads on from there.
func (s *service) LogSize() int64 {
	info, err := os.Stat(s.logPath())
	if err != nil {
		return 0 // nothing yet
	}
	return info.Size()
}

// LogFrom returns what the service has written beyond an offset.
func (s *service) LogFrom(offset int64) string {
	f, err := os.Open(s.logPath())
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.NewSectionReader(f, offset, 1<<30))
	return string(text)
}
