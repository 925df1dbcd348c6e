package harness

import (
	"os"
	"os/exec"
	"syscall"
)

// Windows has no interrupt that one process could send to another one alone: stopping is killing
// there.
const interruptible = false

func detach(cmd *exec.Cmd, _ bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func interrupt(p *os.Process) error { return p.Kill() }

func abort(p *os.Process) error { return p.Kill() }
