package harness

import (
	"os"
	"os/exec"
	"syscall"
)

const interruptible = true

// detach puts the program in a process group of its own, so that an interrupt typed on the terminal
// reaches only us and we stop things in order; and, unless it shall outlive us, has the kernel kill
// it when we die.
func detach(cmd *exec.Cmd, outlive bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !outlive {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
}

func interrupt(p *os.Process) error { return p.Signal(os.Interrupt) }

// abort has a Go program write down what each of its goroutines does, and end.
func abort(p *os.Process) error { return p.Signal(syscall.SIGQUIT) }
