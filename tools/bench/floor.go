package main

import (
	"bufio"
	"bytes"
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
	"strconv"
	"strings"
	"sync"
	"time"
)

// floorCommand makes this program the floor: the least that a server must do which acknowledges
// digests over HTTP and JSON-RPC, and does not lose them.
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
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	log := &floorLog{file: file}
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
	handler := http.NewServeMux()
	handler.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { floorCall(w, r, queue) })
	handler.HandleFunc("/digest", func(w http.ResponseWriter, r *http.Request) { floorDigest(w, r, queue) })
	handler.Handle(sameAnswer, new(floorAnswer))
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
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
	return errors.Join(err, file.Close())
}

// floorLog is the file to which everything is appended. Space is reserved ahead, as in every good
// log: a sync that also makes the file longer takes up to twice as long.
type floorLog struct {
	file           *os.File
	size, reserved int64
}

// reserveAhead is the space that is reserved at a time, in bytes.
const reserveAhead = 64 << 20

func (l *floorLog) append(records []byte) error {
	for l.size+int64(len(records)) > l.reserved {
		if err := reserve(l.file, l.reserved, reserveAhead); err != nil {
			return err
		}
		l.reserved += reserveAhead
	}
	if _, err := l.file.WriteAt(records, l.size); err != nil {
		return err
	}
	l.size += int64(len(records))
	return syncData(l.file)
}

// commitAll writes all waiting requests as one group, syncs the file, and answers them.
func commitAll(log *floorLog, queue <-chan *pending) {
	var group []*pending
	var records []byte
	for first := range queue {
		group, records = append(group[:0], first), append(records[:0], first.records...)
		for len(queue) > 0 {
			p := <-queue
			group, records = append(group, p), append(records, p.records...)
		}
		err := log.append(records)
		for _, p := range group {
			p.done <- err
		}
	}
}

// sameAnswer is the path at which the floor answers every request with the same bytes: the least of
// any server.
const sameAnswer = "/same"

// floorAnswer keeps these bytes.
type floorAnswer struct {
	mu                  sync.RWMutex
	answer              []byte
	contentType, length []string // without a length it would be sent in chunks
}

func (f *floorAnswer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodPut {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.answer, f.contentType, f.length = body, r.Header["Content-Type"], []string{strconv.Itoa(len(body))}
		return
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	w.Header()["Content-Type"], w.Header()["Content-Length"] = f.contentType, f.length
	_, _ = w.Write(f.answer)
}

// floorDigest is POST /digest: the body is 32 bytes, and the answer has the usual length.
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

// floorCall is JSON-RPC: it decodes a call as a plain program does, and answers with the number of
// digests.
func floorCall(w http.ResponseWriter, r *http.Request, queue chan<- *pending) {
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

// answerWith sets the bytes that the floor answers at sameAnswer.
func (f *floorProcess) answerWith(ctx context.Context, contentType string, answer []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+f.addr+sameAnswer, bytes.NewReader(answer))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the floor takes no answer: %s", resp.Status)
	}
	return nil
}

func (f *floorProcess) stop() error {
	return errors.Join(f.stdin.Close(), f.cmd.Wait())
}
