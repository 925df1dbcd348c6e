package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// floorCommand makes this program the floor: the least that any server must do which acknowledges digests over HTTP and
// JSON-RPC and does not lose them.
const floorCommand = "floor-server"

// commitQueue is how many requests may wait for the log.
const commitQueue = 4096

// pending is one request's digests on their way to the log.
type pending struct {
	records []byte // 32 bytes a digest
	done    chan error
}

// serveFloor serves until its standard input ends, appending to the log at path.
func serveFloor(path string) error {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	queue := make(chan *pending, commitQueue)
	committed := make(chan struct{})
	go func() {
		defer close(committed)
		commitAll(log, queue)
	}()
	server := &http.Server{Handler: floorHandler(queue), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Println(listener.Addr())

	_, _ = io.Copy(io.Discard, os.Stdin) // the bench closes it, or has ended
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = server.Shutdown(ctx)
	if serr := <-served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	close(queue)
	<-committed
	return errors.Join(err, log.Close())
}

// commitAll writes what is waiting as one group, syncs it, and answers all of it.
func commitAll(log *os.File, queue <-chan *pending) {
	var group []*pending
	var records []byte
	for first := range queue {
		group, records = append(group[:0], first), append(records[:0], first.records...)
		for len(queue) > 0 {
			p := <-queue
			group, records = append(group, p), append(records, p.records...)
		}
		_, err := log.Write(records)
		if err == nil {
			err = syncData(log)
		}
		for _, p := range group {
			p.done <- err
		}
	}
}

// floorDigest is POST /digest: 32 bytes come as they are, and something of the usual length is answered.
func floorDigest(w http.ResponseWriter, r *http.Request, queue chan<- *pending) {
	p := &pending{done: make(chan error, 1)}
	var err error
	if p.records, err = io.ReadAll(r.Body); err != nil || len(p.records) != 32 {
		http.Error(w, "not 32 bytes", http.StatusBadRequest)
		return
	}
	queue <- p
	if err := <-p.done; err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	var answer [80]byte
	_, _ = w.Write(answer[:])
}

func floorHandler(queue chan<- *pending) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/digest" {
			floorDigest(w, r, queue)
			return
		}
		var request struct {
			JSONRPC string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Method  string          `json:"method"`
			Params  json.RawMessage `json:"params"`
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &request)
		}
		var digests []string
		switch {
		case err != nil:
		case request.Method == "submit":
			err = json.Unmarshal(request.Params, &digests)
		case request.Method == "submitbatch":
			var list [][]string
			if err = json.Unmarshal(request.Params, &list); err == nil && len(list) == 1 {
				digests = list[0]
			}
		}
		p := &pending{records: make([]byte, 0, 32*len(digests)), done: make(chan error, 1)}
		for _, digest := range digests {
			if err == nil {
				p.records, err = hex.AppendDecode(p.records, []byte(digest))
			}
		}
		if err != nil || len(p.records) != 32*len(digests) || len(digests) == 0 {
			http.Error(w, "not a call of submit or submitbatch", http.StatusBadRequest)
			return
		}
		queue <- p
		if err := <-p.done; err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","result":%d,"id":%s}`, len(digests), request.ID)
	})
}

// floorProcess is the floor in a process of its own, like ancred.
type floorProcess struct {
	addr  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

func startFloor(ctx context.Context, path string) (*floorProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, floorCommand, path)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	f := &floorProcess{cmd: cmd, stdin: stdin}
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the floor did not start: %w", err), f.stop())
	}
	f.addr = strings.TrimSpace(addr)
	return f, nil
}

func (f *floorProcess) stop() error {
	return errors.Join(f.stdin.Close(), f.cmd.Wait())
}
