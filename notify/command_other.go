//go:build !unix

package notify

import "os/exec"

// systemVariables are what programs need to start on this system.
var systemVariables = []string{"SYSTEMROOT", "PATH", "TEMP", "USERPROFILE"}

// separate does nothing: when the command is killed, processes that it started may live on.
func separate(*exec.Cmd) {}
