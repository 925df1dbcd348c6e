package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ancre/internal/printable"
)

const (
	// maxOutput is how much of what a command prints is kept.
	maxOutput = 2 << 10

	// pipeWait is how long after the end of a command its output is waited for: a process that it
	// left behind may hold the pipe.
	pipeWait = 2 * time.Second
)

// searchPath is where commands find other programs. The daemon's own PATH may be empty, or a
// person's.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environ returns the environment of commands. It has nothing of the daemon's but its home
// directory, where mail programs look for their configuration: what else systemd or an operator put
// there is no business of the command's.
func environ() []string {
	env := []string{searchPath, "LANG=C.UTF-8"}
	for _, name := range append([]string{"HOME"}, systemVariables...) {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// run runs a program without a shell, with input on its standard input, and returns what it
// printed. When limit is over or ctx ends, the program is killed with all processes of its group.
func run(ctx context.Context, command []string, input []byte, limit time.Duration) (printed string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it was killed because it did not end within %s", limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var out output
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &out
	cmd.Env, cmd.Dir, cmd.WaitDelay = environ(), string(filepath.Separator), pipeWait
	separate(cmd)
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) { // it succeeded, and left a process behind
		err = nil
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return out.line(), err
}

// output keeps the beginning of what a command prints.
type output struct {
	kept  []byte
	total int
}

func (o *output) Write(p []byte) (int, error) {
	o.total += len(p)
	o.kept = append(o.kept, p[:min(len(p), maxOutput-len(o.kept))]...)
	return len(p), nil
}

// line returns the output on one line, harmless to a terminal.
func (o *output) line() string {
	text := printable.Line(strings.Join(strings.Fields(string(o.kept)), " "))
	if o.total > len(o.kept) {
		text += " …"
	}
	return text
}

// Usable says whether the program of a command can be run by this process: it exists, is a file,
// and may be executed. Its error says what is wrong.
func Usable(command []string) error {
	if _, err := exec.LookPath(command[0]); err != nil {
		var at *exec.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("%s cannot be run: %w", command[0], err)
	}
	return nil
}
