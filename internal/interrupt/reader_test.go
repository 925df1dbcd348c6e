package interrupt

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// The bug that it catches: an interrupt does nothing as long as nothing comes through a pipe.
func TestAReaderGivesUpWhenItsContextEnds(t *testing.T) {
	read, write := io.Pipe()
	defer write.Close()
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := NewReader(ctx, read)
	got := make(chan error)
	go func() {
		_, err := r.Read(make([]byte, 1))
		got <- err
	}()
	cancel(why)
	if err := <-got; err != why {
		t.Errorf("got %v, want the cause", err)
	}
}

func TestAReaderPassesEverythingOn(t *testing.T) {
	text := strings.Repeat("content ", 50_000)
	data, err := io.ReadAll(NewReader(t.Context(), strings.NewReader(text)))
	if err != nil || string(data) != text {
		t.Errorf("%d bytes of %d, %v", len(data), len(text), err)
	}
}
