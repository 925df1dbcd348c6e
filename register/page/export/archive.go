package export

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"time"
)

// Archive is an export on its way: the daemon writes it, and the verb that asked for it reads it
// into a [Folder] with [Folder.Read]. It is a tar stream. Its last member is empty and named end,
// so that a stream that broke off is not taken for a whole one.
type Archive struct {
	w   *tar.Writer
	buf []byte // of one member
}

// end is no name of a file of an export.
const end = Sums

// NewArchive returns an archive that is written to w.
func NewArchive(w io.Writer) *Archive { return &Archive{tar.NewWriter(w), make([]byte, member)} }

// member is the part of a large file that one member of the archive holds: the sizes of files are
// not known before they are read, and tar wants them first. A file that is larger continues in the
// next member, which has the same name.
const member = 1 << 20

// Put implements [Files].
func (a *Archive) Put(name string, body io.Reader) error {
	for first := true; ; first = false {
		n, err := io.ReadFull(body, a.buf)
		last := err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		if n > 0 || first {
			if err := a.member(name, a.buf[:n]); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

func (a *Archive) member(name string, body []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(body)), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := a.w.WriteHeader(h); err != nil {
		return err
	}
	_, err := a.w.Write(body)
	return err
}

// Close ends an archive that is whole.
func (a *Archive) Close() error {
	if err := a.member(end, nil); err != nil {
		return err
	}
	return a.w.Close()
}

// Read puts all files of an archive into the folder. If progress is not nil, Read calls it after
// each file with the number of files so far. An archive that breaks off is an error.
func (f *Folder) Read(r io.Reader, progress func(files int)) error {
	m := &members{tar: tar.NewReader(r)}
	if err := m.next(); err != nil {
		return err
	}
	for files := 1; m.name != end; files++ {
		if err := f.Put(m.name, m.file()); err != nil {
			return err
		}
		if m.err != nil {
			return m.err
		}
		if progress != nil {
			progress(files)
		}
	}
	return nil
}

// members are those of an archive, one after another.
type members struct {
	tar  *tar.Reader
	name string // of the member that is read, or is next
	err  error
}

func (m *members) next() error {
	h, err := m.tar.Next()
	switch {
	case err == io.EOF:
		return errors.New("the export broke off: its end is missing")
	case err != nil:
		return fmt.Errorf("the export broke off: %w", err)
	case h.Typeflag != tar.TypeReg:
		return fmt.Errorf("the export has a member %q that is no file", h.Name)
	}
	m.name = h.Name
	return nil
}

// file returns the content of all members that follow one another under the same name.
func (m *members) file() io.Reader { return &joined{m: m, name: m.name} }

type joined struct {
	m    *members
	name string
	done bool
}

func (j *joined) Read(p []byte) (int, error) {
	for !j.done {
		n, err := j.m.tar.Read(p)
		switch {
		case err != nil && err != io.EOF:
			return n, err
		case n > 0: // the end of a member is not that of the file
			return n, nil
		case err == nil:
			continue
		}
		if j.m.err = j.m.next(); j.m.err != nil {
			return 0, j.m.err
		}
		j.done = j.m.name != j.name
	}
	return 0, io.EOF
}
