// Command demo shows Ancre at work, on a private Bitcoin network on this machine. It stamps files,
// pays for their hashes with one transaction, and verifies the proofs. It also shows that a changed
// file and a changed proof are refused. Then it opens a council's register, adds the documents of a
// meeting, and checks one of them as a citizen would. It ends with status 0 only if all of this
// happened.
//
// It runs the programs in its own directory (ancred, ancre, ancre-register, btcd), in temporary
// directories. At the end it stops them and removes everything but the files, their proofs and the
// block headers that verify them, and says how. With KEEP=1 in the environment the programs go on
// running, and demo says how to use and stop them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"ancre/itest/harness"
)

// longest is the time after which the demo gives up. On an idle machine it takes about 15 s.
const longest = 3 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	err := run(ctx, os.Getenv("KEEP") != "")
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		cancel()
		stop()
		os.Exit(1)
	}
}

// stage holds the programs and directories of one run.
type stage struct {
	teller
	state string // directory of node and daemon, removed in the end
	files string // directory of the stamped files and their proofs, kept
	keep  bool

	node     *harness.Node
	daemon   *harness.Daemon
	register *harness.Register
	meeting  string // its name in the register
	began    time.Time
}

func run(ctx context.Context, keep bool) (err error) {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	bin, err := harness.In(filepath.Dir(exe))
	if err != nil {
		return err
	}
	s := &stage{teller: newTeller(os.Stdout), keep: keep, began: time.Now()}
	if s.state, err = os.MkdirTemp("", "ancre-demo-state-"); err != nil {
		return err
	}
	if s.files, err = os.MkdirTemp("", "ancre-demo-"); err != nil {
		return errors.Join(err, os.RemoveAll(s.state))
	}
	defer func() {
		if err == nil && keep {
			return
		}
		if err != nil {
			s.tellLogs()
			err = errors.Join(err, os.RemoveAll(s.files))
		}
		err = errors.Join(err, s.strike())
	}()

	for _, act := range []func(context.Context) error{
		func(ctx context.Context) error { return s.startPrograms(ctx, bin) },
		s.makeWallet,
		s.stampFiles,
		s.payOnce,
		s.mineToFinal,
		s.completeProofs,
		s.refuseForgeries,
		func(ctx context.Context) error { return s.openRegister(ctx, bin) },
		s.addDocuments,
		s.checkAsCitizen,
		s.verifyOffline,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return s.close()
}

// strike stops the programs and removes their directories.
func (s *stage) strike() error {
	var errs []error
	if s.register != nil {
		errs = append(errs, s.register.Stop())
	}
	if s.daemon != nil {
		errs = append(errs, s.daemon.Stop())
	}
	if s.node != nil {
		errs = append(errs, s.node.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.state))...)
}

// tellLogs shows the end of the logs before they are removed.
func (s *stage) tellLogs() {
	if s.register != nil {
		fmt.Fprintf(os.Stderr, "\nThe end of the log of ancre-register:\n%s\n", s.register.Log(15))
	}
	if s.daemon != nil {
		fmt.Fprintf(os.Stderr, "\nThe end of the log of ancred:\n%s\n", s.daemon.Log(15))
	}
	if s.node != nil {
		fmt.Fprintf(os.Stderr, "\nThe end of the log of btcd:\n%s\n", s.node.Log(5))
	}
}
