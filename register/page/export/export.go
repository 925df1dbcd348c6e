// Package export writes the public page as files, for a web host that runs nothing of ours: the
// same pages with relative links, all proofs, the windows of block headers, and the check tool. Two
// exports of the same register are byte for byte the same.
package export

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"ancre/register/page"
	"ancre/register/store"
)

// Files is where an export goes: a [Folder], or an archive on its way to one.
type Files interface {
	// Put writes a file. Its name has slashes, and is given once.
	Put(name string, body io.Reader) error
}

// Write exports all pages. If progress is not nil, Write calls it after each file with the number
// of files so far.
//
// What is withdrawn meanwhile is left out, and what is added meanwhile may be missing: the next
// export has it.
func Write(ctx context.Context, p *page.Page, to Files, progress func(files int)) error {
	files := 0
	put := func(name string, body io.Reader) error {
		if err := to.Put(name, body); err != nil {
			return err
		}
		if files++; progress != nil {
			progress(files)
		}
		return ctx.Err()
	}
	links := p.StaticLinks()
	for a, err := range p.Pages(ctx) {
		if err != nil {
			return fmt.Errorf("list the pages to export: %w", err)
		}
		if !links.Has(a.Kind) {
			continue
		}
		answer, err := p.Render(ctx, a, links)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("export %s: %w", a.FileName(), err)
		}
		if err := writeAnswer(a, answer, put); err != nil {
			return fmt.Errorf("export %s: %w", a.FileName(), err)
		}
	}
	return ctx.Err()
}

func writeAnswer(a page.Address, answer page.Answer, put func(string, io.Reader) error) error {
	switch {
	case answer.Content != nil:
		defer answer.Content.Close()
		return put(a.FileName(), answer.Content)
	case answer.Stream != nil:
		r, w := io.Pipe()
		defer r.Close() // ends Stream if put ends early
		go func() { w.CloseWithError(answer.Stream(w)) }()
		return put(a.FileName(), r)
	}
	if err := put(a.FileName(), bytes.NewReader(answer.Body)); err != nil {
		return err
	}
	name, data := twin(a, answer.Body)
	if name == "" {
		return nil
	}
	return put(name, strings.NewReader(data))
}

// twin returns the script beside a file of data that the check tool needs. A page that is opened
// from a directory (file:) may load scripts, and may not fetch data. What the scripts call is in
// verifier/lookup.ts.
func twin(a page.Address, body []byte) (name, script string) {
	switch a.Kind {
	case page.Digests:
		return "empreintes/" + a.ID + ".js", fmt.Sprintf("ancreTwin(%q,%s)\n", "empreintes/"+a.ID, bytes.TrimSpace(body))
	case page.Headers:
		return "entetes/" + a.ID + ".js", fmt.Sprintf("ancreTwin(%q,%q)\n", "entetes/"+a.ID, base64.StdEncoding.EncodeToString(body))
	}
	return "", ""
}
