package server

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"ancre/rpc"
)

// download is something larger than memory, whose sending may last longer than a call may take. It
// has a path of its own beside JSON-RPC's, with the same users, and is streamed.
type download struct {
	what   string        // in the log
	are    string        // the beginning of errors: "a backup is"
	roles  rpc.Roles     // who may fetch it
	places chan struct{} // one for each that may be sent at once
	active active        // those being sent
	busy   string        // the error when no place is left
	absent string        // the error when the daemon has none
	of     func(*Services) func(context.Context, io.Writer) error
}

// maxExports is how many clients may fetch all headers at once.
const maxExports = 4

// downloads returns the downloads by their path.
func downloads() map[string]*download {
	return map[string]*download{
		rpc.PathBackup: {
			what:   "backup",
			are:    "a backup is",
			places: make(chan struct{}, 1),
			busy:   "another backup is running: wait until it ends",
			absent: "this server has no store to back up",
			of:     func(s *Services) func(context.Context, io.Writer) error { return s.Backup },
		},
		rpc.PathHeaders: {
			what:   "headers",
			are:    "all headers are",
			roles:  rpc.Roles{rpc.RoleSubmit, rpc.RoleVerify, rpc.RoleRead},
			places: make(chan struct{}, maxExports),
			busy:   fmt.Sprintf("%d other clients are fetching headers: try again later", maxExports),
			absent: "this server has no file of headers",
			of:     func(s *Services) func(context.Context, io.Writer) error { return s.Headers },
		},
	}
}

// serveDownload sends a download to a client who may have it.
func (s *Server) serveDownload(w http.ResponseWriter, r *http.Request, d *download) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		w.Header().Set("Connection", "close")
		http.Error(w, d.are+" fetched with GET", http.StatusMethodNotAllowed)
		return
	}
	user, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	services := s.services.Load()
	switch {
	case !d.roles.Allow(user.Roles):
		s.refuse(w, http.StatusForbidden, errorf(rpc.CodeForbidden, "%s for the role %s; the user %s has the role %s", d.are, d.roles.AnyOf(), user.Name, user.Roles))
		return
	case services == nil:
		s.refuse(w, http.StatusInternalServerError, errorf(rpc.CodeStarting, "ancred is starting: %s", *s.phase.Load()))
		return
	case r.URL.Path == rpc.PathHeaders && r.URL.RawQuery != "":
		s.serveHeaderRange(w, services, r.URL.Query())
		return
	case d.of(services) == nil:
		s.refuse(w, http.StatusInternalServerError, errorf(rpc.CodeMisc, "%s", d.absent))
		return
	}
	select {
	case d.places <- struct{}{}:
		defer func() { <-d.places }()
	default:
		d.active.displace() // for the next try
		s.refuse(w, http.StatusServiceUnavailable, errorf(rpc.CodeBusy, "%s", d.busy))
		return
	}
	s.stream(w, r, *user, d)
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, status int, err error) {
	s.write(w, status, appendError(nil, &request{id: null}, asError(err)))
}
