package control

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"ancre/register"
	"ancre/register/store"
)

// addDocument takes a file. What it is stands in the query of the address, its bytes are the body.
func (s *Server) addDocument(w http.ResponseWriter, r *http.Request) error {
	leave, err := enter(s.uploads, "files")
	if err != nil {
		return err
	}
	defer leave()
	q := r.URL.Query()
	a := register.AddRequest{FileName: q.Get("name"), Meeting: q.Get("meeting"), Kind: store.Kind(q.Get("kind")), Title: q.Get("title"), Number: q.Get("number"),
		Publish: q.Get("publish") == "true", Download: q.Get("list_only") != "true"}
	if text := q.Get("replaces"); text != "" {
		d, err := parseDigest(text)
		if err != nil {
			return err
		}
		a.Replaces = &d
	}
	if text := q.Get("digest"); text != "" {
		if a.Confirm, err = mustBe(text); err != nil {
			return err
		}
	}
	a.Reader = http.MaxBytesReader(w, r.Body, maxDocument)
	added, err := s.Register.Add(r.Context(), a)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return invalidf("%s is larger than %d GiB", a.FileName, maxDocument>>30)
	case err != nil && interrupted(r.Context(), err):
		return fmt.Errorf("the file did not come whole, and was not taken: %w", err)
	case err != nil:
		return err
	}
	result := AddedDocument{Document: documentOf(added.Entry, added.Proof), Added: added.New, Notes: added.Notes}
	if e := added.Replaced; e != nil {
		proofs, err := s.Register.Store().Proofs(r.Context(), []store.Digest{e.Digest})
		if err != nil {
			return err
		}
		replaced := documentOf(*e, proofs[0])
		result.Replaced = &replaced
	}
	return answer(w, result)
}

// mustBe refuses bytes that have another digest than the caller found before.
func mustBe(text string) (func(store.Digest) error, error) {
	want, err := parseDigest(text)
	if err != nil {
		return nil, err
	}
	return func(got store.Digest) error {
		if got != want {
			return &Error{"it changed while it was read, and was not taken: add it again once nobody writes to it", CodeChanged}
		}
		return nil
	}, nil
}

func parseDigest(text string) (store.Digest, error) {
	d, err := store.ParseDigest(text)
	if err != nil {
		return d, &Error{err.Error(), CodeInvalid}
	}
	return d, nil
}

func (s *Server) listDocuments(w http.ResponseWriter, r *http.Request) error {
	values := r.URL.Query()
	limit, err := limitOf(values)
	if err != nil {
		return err
	}
	q, err := s.entryQuery(r, values)
	if err != nil {
		return err
	}
	open := values.Get("incomplete") == "true"
	all := Documents{Documents: []Document{}}
	for q.Limit = maxList; ; {
		entries, err := s.Register.Store().Entries(r.Context(), q)
		if err != nil {
			return err
		}
		documents, err := s.withProofs(r, entries)
		if err != nil {
			return err
		}
		for _, d := range documents {
			if open && d.Proof.State == string(store.Complete) {
				continue
			}
			if len(all.Documents) == limit {
				all.More = true
				return answer(w, all)
			}
			all.Documents = append(all.Documents, d)
		}
		if len(entries) < q.Limit {
			return answer(w, all)
		}
		q.After = entries[len(entries)-1].ID
	}
}

// entryQuery reads the query of a list.
func (s *Server) entryQuery(r *http.Request, values url.Values) (q store.EntryQuery, err error) {
	q = store.EntryQuery{Text: values.Get("text"), PublishedOnly: values.Get("published") == "true"}
	if id := values.Get("meeting"); id == NoMeeting {
		q.Meeting = new(string)
	} else if id != "" {
		m, err := s.Register.Meeting(r.Context(), id)
		if err != nil {
			return q, err
		}
		q.Meeting = &m.ID
	}
	if text := values.Get("kind"); text != "" {
		if q.Kind, err = register.ParseKind(text); err != nil {
			return q, err
		}
	}
	if text := values.Get("digest"); text != "" {
		d, err := parseDigest(text)
		if err != nil {
			return q, err
		}
		q.Digest = &d
	}
	if text := values.Get("after"); text != "" {
		if q.After, err = strconv.ParseInt(text, 10, 64); err != nil || q.After < 0 {
			return q, invalidf("after=%q must be the entry of a document", text)
		}
	}
	return q, nil
}

// withProofs returns entries with what is known of their proofs.
func (s *Server) withProofs(r *http.Request, entries []store.Entry) ([]Document, error) {
	digests := make([]store.Digest, len(entries))
	for i, e := range entries {
		digests[i] = e.Digest
	}
	proofs, err := s.Register.Store().Proofs(r.Context(), digests)
	if err != nil {
		return nil, err
	}
	list := make([]Document, len(entries))
	for i, e := range entries {
		list[i] = documentOf(e, proofs[i])
	}
	return list, nil
}

// sendFile answers with the bytes of a document, its proof or its receipt.
func (s *Server) sendFile(w http.ResponseWriter, r *http.Request) error {
	d, err := parseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	files := s.Register.Files()
	w.Header().Set("Content-Type", "application/octet-stream")
	switch what := r.PathValue("what"); what {
	case "ots", "receipt":
		read := files.OTS
		if what == "receipt" {
			read = files.Receipt
		}
		data, err := read(d)
		if err != nil {
			return err
		}
		_, _ = w.Write(data) // an error means that the caller is gone
		return nil
	case "file":
		f, err := files.Open(d)
		if err != nil {
			return err
		}
		defer f.Close()
		return s.stream(w, func(w io.Writer) error { return copyChecked(w, f, d) })
	default:
		return &Error{fmt.Sprintf("a document has file, ots and receipt, and no %q", what), CodeNotFound}
	}
}

// copyChecked copies a file, and fails if it is not what it was when it was added.
func copyChecked(w io.Writer, r io.Reader, want store.Digest) error {
	var sum hash.Hash = sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), r); err != nil {
		return err
	}
	if got := store.Digest(sum.Sum(nil)); got != want {
		return fmt.Errorf("the stored file of %s has the digest %s: %w", want, got, store.ErrDamaged)
	}
	return nil
}

func (s *Server) publish(w http.ResponseWriter, r *http.Request) error {
	return s.change(w, r, func(sel register.Selection, listOnly bool) (register.Published, error) {
		return s.Register.Publish(r.Context(), sel, !listOnly)
	})
}

func (s *Server) withdraw(w http.ResponseWriter, r *http.Request) error {
	return s.change(w, r, func(sel register.Selection, _ bool) (register.Published, error) {
		return s.Register.Withdraw(r.Context(), sel)
	})
}

// change applies a change to all that a selection chooses.
func (s *Server) change(w http.ResponseWriter, r *http.Request, do func(register.Selection, bool) (register.Published, error)) error {
	var sel Selection
	if err := decode(w, r, &sel); err != nil {
		return err
	}
	base := register.Selection{}
	if sel.Kind != "" {
		kind, err := register.ParseKind(sel.Kind)
		if err != nil {
			return err
		}
		base.Kind = kind
	}
	if sel.Meeting == NoMeeting {
		base.Meeting = new(string)
	} else if sel.Meeting != "" {
		base.Meeting = &sel.Meeting
	}
	each := []register.Selection{base}
	if len(sel.Digests) > 0 {
		each = nil
		for _, text := range sel.Digests {
			d, err := parseDigest(text)
			if err != nil {
				return err
			}
			one := base
			one.Digest = &d
			each = append(each, one)
		}
	}
	all := Selected{Documents: []Document{}}
	for _, one := range each {
		done, err := do(one, sel.ListOnly)
		if err != nil {
			return err
		}
		documents, err := s.withProofs(r, done.Entries)
		if err != nil {
			return err
		}
		all.Documents = append(all.Documents, documents...)
		all.Changed += done.Changed
		all.Notes = append(all.Notes, done.Notes...)
	}
	return answer(w, all)
}
