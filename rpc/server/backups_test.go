package server

import (
	"strings"
	"testing"

	"ancre/rpc"
)

// What a client says of a backup is kept short and on one line: getinfo repeats it.
func TestReportsOfBackupsAreShort(t *testing.T) {
	r := newRig(t)
	c := r.client(t, rpc.RoleAdmin)
	long := strings.Repeat("x", 10*maxReported)
	if err := c.BackupFailed(t.Context(), "rsync:\n"+long); err != nil {
		t.Fatal(err)
	}
	if got := r.backups.failed; !strings.HasPrefix(got, "rsync: xxx") || len(got) > maxReported+10 {
		t.Errorf("%d bytes are kept, beginning with %.20q", len(got), got)
	}
	if err := c.BackupDone(t.Context(), rpc.LastBackup{Taken: testTime, File: long}); err != nil || len(r.backups.done.File) > maxReported+10 {
		t.Errorf("%v, and a name of %d bytes is kept", err, len(r.backups.done.File))
	}
	if err := c.BackupFailed(t.Context(), " \n"); !rpc.HasCode(err, rpc.CodeInvalidParameter) {
		t.Errorf("an empty reason: %v", err)
	}
}

func TestWithoutARecordReportsAreRefused(t *testing.T) {
	r := newRig(t)
	r.server.Provide(Services{Batcher: r.batcher, Chain: r.chain, Wallet: r.wallet, Node: fixedNode{}})
	c := r.client(t, rpc.RoleAdmin)
	for _, err := range []error{c.BackupDone(t.Context(), rpc.LastBackup{Taken: testTime}), c.BackupFailed(t.Context(), "no space")} {
		if err == nil || !strings.Contains(err.Error(), "keeps no record of backups") {
			t.Errorf("%v", err)
		}
	}
}
