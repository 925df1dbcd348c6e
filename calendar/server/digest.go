package server

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"ancre/batcher"
	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/calendar"
	"ancre/internal/httpserve"
)

// digest is POST /digest. It takes a message of up to 64 bytes, and answers its pending timestamp.
func (q *request) digest(string) {
	if why := q.server.strangers; why != nil && q.isStranger() {
		q.w.Header().Set("Connection", "close") // the body was not read
		q.text(http.StatusForbidden, keepNever, why.Error())
		return
	}
	n, err := q.readMessage(q.message[:])
	switch {
	case n > calendar.MaxMessage:
		q.w.Header().Set("Connection", "close") // rather than reading it to the end
		q.text(http.StatusBadRequest, "", "digest too long")
		return
	case err != nil:
		q.w.Header().Set("Connection", "close")
		q.text(http.StatusBadRequest, "", err.Error())
		return
	}
	if s := q.server; s.intake.Take("", 1) != nil {
		s.meters.crowded.Add(1)
		s.crowded.Do(func() {
			s.log.Warn("the calendar refuses digests: as many came in as calendar.max_digests allows in one batch.interval")
		})
		q.later(60, "this calendar takes no more digests at the moment: try again in a minute, or use another calendar")
		return
	}
	answer, err := q.Batcher.SubmitMessage(q.Context(), q.reply[:0], q.message[:n])
	if err != nil {
		q.fail("taking a digest", err)
		return
	}
	q.answer(http.StatusOK, octets, "", answer)
}

// isStranger reports whether a request comes from another machine, or from a web page of another
// machine in a browser on this one.
func (q *request) isStranger() bool {
	proxies := q.server.proxies
	peer, client := parseIP(q.RemoteAddr), proxies.client(q.Request)
	if !client.IsLoopback() || proxies.isProxy(peer) && q.Header.Get("X-Forwarded-For") == "" {
		return true // the proxy does not say for whom it asks
	}
	origin, isPage := q.Header["Origin"]
	return isPage && !httpserve.LocalOrigin(strings.Join(origin, ","))
}

// readMessage reads the body into buf, which has room for one byte more than is allowed. It returns
// the length of the body, or len(buf) if the body is too long.
func (q *request) readMessage(buf []byte) (int, error) {
	most := len(buf) - 1
	switch size := q.ContentLength; {
	case size > int64(most):
		return len(buf), nil
	case size > 0:
		n, err := io.ReadFull(q.Body, buf[:size])
		if err != nil {
			err = fmt.Errorf("the body broke off after %d of %d bytes", n, size)
		}
		return n, err
	case size == 0 && q.Header.Get("Content-Length") == "":
		// An empty message is allowed, but this is a request without a body. Text and status are
		// otsd's, not 411.
		return 0, errors.New("invalid Content-Length")
	case size == 0:
		return 0, nil
	}
	// Chunked, which otsd does not take. The length is not known before the end.
	n, err := io.ReadFull(q.Body, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && isWhole(q.Body) {
		err = nil
	} else if err != nil {
		err = errors.New("the body broke off")
	}
	return n, err
}

// isWhole reports whether a chunked body ended properly: only then does net/http return io.EOF.
func isWhole(body io.Reader) bool {
	_, err := body.Read(make([]byte, 1))
	return err == io.EOF
}

// timestamp is GET /timestamp/HEX. It answers the path from the commitment, the last message of a
// pending proof, to the block, once the block is final. Upper-case digits are allowed, as in otsd.
func (q *request) timestamp(rest string) {
	commitment, err := hex.DecodeString(rest)
	if err != nil {
		q.text(http.StatusBadRequest, keepForever, "commitment must be hex-encoded bytes")
		return
	}
	var leaf store.Leaf
	if len(commitment) != len(leaf) {
		q.text(http.StatusNotFound, keepBriefly, "Not found") // all of ours have 32 bytes
		return
	}
	copy(leaf[:], commitment)
	answer, st, complete, err := q.Batcher.Timestamp(q.Context(), nil, leaf)
	switch {
	case errors.Is(err, batcher.ErrUnknown):
		q.text(http.StatusNotFound, keepBriefly, "Not found")
		return
	case err != nil:
		q.fail("look up a commitment", err)
		return
	case st.Progress.State == batcher.Mined:
		q.text(http.StatusNotFound, keepBriefly, fmt.Sprintf("Timestamped by transaction %s; waiting for %d confirmations",
			st.Progress.TxID, max(q.Confirmations-st.Progress.Confirmations, 1)))
		return
	case !complete:
		q.text(http.StatusNotFound, keepBriefly, "Pending confirmation in Bitcoin blockchain")
		return
	}
	// Timestamps usually have 0.5 to 1.6 kB. The largest that the proof format allows, with a
	// transaction of 4 kB, fits too.
	if len(answer) > calendar.MaxAnswer {
		q.fail("write a complete timestamp", fmt.Errorf("it has %d bytes, and clients read only %d", len(answer), calendar.MaxAnswer))
		return
	}
	q.answer(http.StatusOK, octets, keepForever, answer)
}

// tip is GET /tip. It answers the root of the newest unconfirmed anchor.
func (q *request) tip(string) {
	const keep = "public, max-age=10"
	newest, err := newestUnconfirmed(q)
	switch {
	case err != nil:
		q.fail("look up the newest anchor", err)
	case newest == nil:
		q.text(http.StatusNotFound, keep, "")
	default:
		root := decide.Current(newest.Anchor).Root
		q.answer(http.StatusOK, octets, keep, bytes.Clone(root[:]))
	}
}

// newestUnconfirmed returns the newest anchor that is broadcast and not mined, or nil.
func newestUnconfirmed(q *request) (*batcher.AnchorStatus, error) {
	const look = 16 // older anchors are mined or abandoned
	anchors, err := q.Batcher.Anchors(q.Context(), 0, look)
	if err != nil {
		return nil, err
	}
	for i := range anchors {
		if anchors[i].Anchor.State == store.Broadcast {
			return &anchors[i], nil
		}
	}
	return nil, nil
}
