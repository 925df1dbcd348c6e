//go:build unix && !linux

package harness

import (
	"os"
	"os/exec"
	"syscall"
)

const interruptible = true

// detach puts the program in a process group of its own, so that an interrupt typed on the terminal
// reaches only us and we stop the programs in order.
func detach(cmd *exec.Cmd, _ bool) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func interrupt(p *os.Process) error { return p.Signal(os.Interrupt) }

// abort has a Go program print the stack of each goroutine, and end.
func abort(p *os.Process) error { return p.Signal(syscall.SIGQUIT) }
