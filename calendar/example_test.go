package calendar_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"ancre/calendar"
	"ancre/proof"
)

// fakeCalendar promises every message that is submitted, and has nothing yet for any commitment.
func fakeCalendar() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+calendar.PathDigest, func(w http.ResponseWriter, r *http.Request) {
		message, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		promise, err := proof.PendingAt("https://calendar.example")
		if err != nil {
			panic(err)
		}
		ts := &proof.Timestamp{Msg: message}
		ts.Attest(promise)
		answer, err := ts.Marshal()
		if err != nil {
			panic(err)
		}
		w.Write(answer)
	})
	mux.HandleFunc("GET "+calendar.PathTimestamp+"{commitment}", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Pending confirmation in Bitcoin blockchain", http.StatusNotFound)
	})
	return httptest.NewServer(mux)
}

// A message is submitted to a calendar. Later the calendar is asked for the path to a block.
func ExampleClient() {
	server := fakeCalendar() // in place of https://alice.btc.calendar.opentimestamps.org
	defer server.Close()
	ctx := context.Background()

	c := calendar.NewClient(calendar.ClientConfig{UserAgent: "example/1.0"})
	defer c.Close()
	message := sha256.Sum256([]byte("a document and a nonce"))
	ts, err := c.Submit(ctx, server.URL, message[:])
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range ts.All() {
		fmt.Println(a.Attestation)
	}

	_, err = c.Timestamp(ctx, server.URL, message[:])
	var pending *calendar.PendingError
	var busy *calendar.BusyError
	switch {
	case errors.As(err, &pending):
		fmt.Println("not yet:", pending)
	case errors.As(err, &busy):
		fmt.Println("ask again in", busy.RetryAfter)
	case err != nil:
		log.Fatal(err)
	}
	// Output:
	// pending at https://calendar.example
	// not yet: Pending confirmation in Bitcoin blockchain
}

// A proof names any address it likes. The list says which of them may be asked.
func ExampleWhitelist() {
	list := calendar.WellKnown()
	if err := list.Add("https://calendar.example.org"); err != nil {
		log.Fatal(err)
	}
	for _, uri := range []string{
		"https://alice.btc.calendar.opentimestamps.org",
		"https://calendar.example.org",
		"https://stranger.example",
		"http://calendar.example.org",
	} {
		switch err := list.Check(uri); {
		case err == nil:
			fmt.Println("ask", uri)
		case errors.Is(err, calendar.ErrNotListed):
			fmt.Println("not listed:", uri)
		default:
			fmt.Println("never ask", uri)
		}
	}
	// Output:
	// ask https://alice.btc.calendar.opentimestamps.org
	// ask https://calendar.example.org
	// not listed: https://stranger.example
	// never ask http://calendar.example.org
}
