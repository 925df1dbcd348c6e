package rpc

import (
	"context"
	"io"
	"net/http"
)

// A backup is no call: it may be larger than memory and last longer than a call may take. It has a path of its own beside JSON-RPC's,
// with the same users, and is streamed.
const backupPath = "/backup"

// serveBackup streams a backup to an administrator, one at a time.
func (s *Server) serveBackup(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "a backup is fetched with GET", http.StatusMethodNotAllowed)
		return
	}
	user, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	services := s.services.Load()
	switch {
	case user.Role != RoleAdmin:
		s.refuse(w, http.StatusForbidden, errorf(CodeForbidden, "a backup is for the role %s; the user %s has the role %s", RoleAdmin, user.Name, user.Role))
		return
	case services == nil:
		s.refuse(w, http.StatusInternalServerError, errorf(CodeStarting, "ancred is starting: %s", *s.phase.Load()))
		return
	case services.Backup == nil:
		s.refuse(w, http.StatusInternalServerError, errorf(CodeMisc, "this server has no store to back up"))
		return
	}
	select {
	case s.backup <- struct{}{}:
		defer func() { <-s.backup }()
	default:
		s.refuse(w, http.StatusServiceUnavailable, errorf(CodeBusy, "another backup is running: wait for its end"))
		return
	}

	s.stream(w, r, user, "backup", services.Backup)
}

// Backup asks the server for a backup of its store, in the format of the package ancre/batcher/store/backup. The caller closes
// what it returns; reading it fails with the server's reason when that could not go on. Whether it is whole only its own end tells.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	return c.fetch(ctx, backupPath, "backup")
}
