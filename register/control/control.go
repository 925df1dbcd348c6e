// Package control is the door by which the verbs of ancre-register reach the running register: HTTP
// on a Unix socket. One process writes to the register, whoever calls.
//
// The mode of the socket says who may call: it is 0660, in a directory of the register's user.
// There are no passwords. Files are streamed through the socket, because a service cannot read a
// clerk's home directory. Exports and backups are streamed back.
//
// The promises: an answer without an error comes after the bytes and the row are synced. An error
// is a sentence for a person. However many call, and however slowly, the register holds no file in
// memory, and takes no more of them at once than [maxUploads]. An answer that is streamed ends with
// a trailer, and only then it is whole.
package control

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"ancre/internal/httpserve"
	"ancre/register"
)

// Config is what a [Server] speaks for.
type Config struct {
	Register *register.Register
	Status   func(context.Context) (Status, error)
	Export   func(context.Context, io.Writer) error // the public page as a tar archive; nil: there is no page
	Backup   func(context.Context, io.Writer) error // everything, as one file
	Reported func(BackupReport) error               // a caller has written and checked a backup
	Log      *slog.Logger
}

// Server answers the verbs.
type Server struct {
	Config
	uploads chan struct{} // holds one value for each file that is being taken
	streams chan struct{} // holds one value for each export or backup that is being made
	routes  *http.ServeMux
}

const (
	// maxUploads and maxStreams are how many files are taken, and how many archives are made, at
	// once. Further callers are asked to come again.
	maxUploads = 8
	maxStreams = 2

	// maxDocument is the largest document. It bounds what one call can write.
	maxDocument = 64 << 30

	// maxRequest is far more than any request but a document has.
	maxRequest = 1 << 20
)

// limits let a large file take hours, over standard input for example.
var limits = httpserve.Limits{
	Connections: 64,
	HeaderBytes: 64 << 10,
	ReadHeader:  10 * time.Second,
	Read:        12 * time.Hour,
	Write:       12 * time.Hour,
	Stall:       10 * time.Minute,
	Idle:        2 * time.Minute,
	Grace:       10 * time.Second,
}

// New returns a server.
func New(c Config) *Server {
	s := &Server{Config: c, uploads: make(chan struct{}, maxUploads), streams: make(chan struct{}, maxStreams), routes: http.NewServeMux()}
	for pattern, handler := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/status":                    s.status,
		"GET /v1/meetings":                  s.listMeetings,
		"POST /v1/meetings":                 s.addMeeting,
		"GET /v1/meetings/{id}":             s.showMeeting,
		"PATCH /v1/meetings/{id}":           s.changeMeeting,
		"GET /v1/documents":                 s.listDocuments,
		"POST /v1/documents":                s.addDocument,
		"GET /v1/documents/{digest}/{what}": s.sendFile,
		"POST /v1/publish":                  s.publish,
		"POST /v1/withdraw":                 s.withdraw,
		"GET /v1/export":                    s.export,
		"GET /v1/backup":                    s.backup,
		"POST /v1/backup":                   s.reportBackup,
	} {
		s.routes.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			defer s.recovered(pattern)
			if err := handler(w, r); err != nil {
				s.refuse(w, r, err)
			}
		})
	}
	return s
}

// recovered logs a panic of a handler. The caller sees a broken connection.
func (s *Server) recovered(pattern string) {
	if p := recover(); p != nil {
		if p != http.ErrAbortHandler {
			s.Log.Error("a verb panicked: this is a bug, please report it", "request", pattern, "panic", p, "stack", string(debug.Stack()))
		}
		panic(http.ErrAbortHandler)
	}
}

// Serve answers on a socket until ctx ends, and then waits for the requests that run. It closes the
// listener.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return httpserve.Serve(ctx, ln, s, limits, s.Log)
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	s.routes.ServeHTTP(w, r)
}
