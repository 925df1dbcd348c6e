//go:build unix

package notify

import (
	"os/exec"
	"syscall"
)

// systemVariables are what programs need to start on this system.
var systemVariables []string

// separate gives the command a process group of its own, which dies with it when it is killed.
func separate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
