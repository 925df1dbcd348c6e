package daemon

import (
	"context"
	"time"

	"ancre/register/control"
	"ancre/register/files"
	"ancre/register/store"
)

// status returns how the register is, for "ancre-register status".
func (d *daemon) status(ctx context.Context) (control.Status, error) {
	l, err := d.look(ctx)
	if err != nil {
		return control.Status{}, err
	}
	r := l.status
	s := control.Status{
		Version: d.version, Network: r.Network, DataDir: d.dir, Started: d.started,
		Meetings: r.Counts.Meetings, Documents: r.Counts.Entries, Published: r.Counts.Published,
		Proofs: control.ProofCount{Waiting: r.Counts.Proofs[store.Waiting], Pending: r.Counts.Proofs[store.Pending],
			Mined: r.Counts.Proofs[store.Mined], Complete: r.Counts.Proofs[store.Complete], OldestWaiting: moment(r.Counts.OldestWaiting)},
		Node: control.NodeStatus{RPC: d.nodeURL, Reachable: r.Node.Reachable, Since: moment(r.Node.Since), Error: r.Node.Err, Network: r.Node.Network,
			Height: r.Node.Height, BlockTime: moment(r.Node.BlockTime), Synced: r.Node.Synced, Warnings: r.Node.Warnings},
		Page:       control.PageStatus{Listen: d.pageAddr},
		Watched:    d.cfg.Watch.Dir,
		Metrics:    d.cfg.Metrics.Listen,
		Disk:       control.DiskStatus{ReserveBytes: files.DefaultReserve},
		LastBackup: d.backups.last(),
	}
	if d.pageAddr != "" {
		s.Page.URL = d.cfg.Page.URL
	}
	if l.freeOK {
		s.Disk.FreeBytes = int64(l.free)
	}
	for _, b := range d.cfg.Bodies {
		s.Bodies = append(s.Bodies, control.Body{ID: b.ID, Name: b.Name, NameEN: b.NameEN, ClearDays: b.ClearDays})
	}
	d.mu.Lock()
	s.Warnings = shown(d.warnings(l))
	d.mu.Unlock()
	return s, nil
}

// moment returns nil for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
