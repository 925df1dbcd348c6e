package doctor

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"time"
)

const (
	// commandTime is how long a program may take that is asked for a fact.
	commandTime = 8 * time.Second

	// maxOutput is how much of its output is kept.
	maxOutput = 1 << 20
)

// run runs a program in English and UTC, and returns what it printed.
func run(ctx context.Context, name string, args ...string) (out, errs string, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	cmd.WaitDelay = time.Second
	var stdout, stderr bounded
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// bounded keeps the first maxOutput bytes that are written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(maxOutput-b.Len(), 0))])
	return len(p), nil
}
