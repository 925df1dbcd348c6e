package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A file is one file of a package or an archive.
type file struct {
	path   string // in there: "/usr/bin/ancre", "ancre-0.2.0/ancre"
	mode   fs.FileMode
	source string // where its bytes are on this disk
	link   string // instead: where a symbolic link leads
	config bool   // an administrator may change it
	uid    int    // the owner, in an image: user and group have the same number
}

// documents says where the files of the repository go that people read: patterns, and the folder
// below /usr/share/doc/ancre, or in an archive.
var documents = []struct{ pattern, folder string }{
	{"README.md", ""},
	{"SECURITY.md", ""},
	{"ARCHITECTURE.md", ""},
	{"CHANGELOG.md", ""},
	{"sample.conf", ""},
	{"register.sample.conf", ""},
	{"docs/*", "docs"},
	{"docs/fr/*", "docs/fr"},
	{"docs/pictures/*", "docs/pictures"},
	{"contrib/*", "contrib"},
	{"contrib/grafana/*", "contrib/grafana"},
	{"contrib/notify/*", "contrib/notify"},
	{"contrib/prometheus/*", "contrib/prometheus"},
}

// documentFiles returns the files of documents, below a folder.
func (b *build) documentFiles(below string) (files []file, err error) {
	for _, d := range documents {
		sources, err := filepath.Glob(filepath.Join(b.root, filepath.FromSlash(d.pattern)))
		if err != nil {
			return nil, err
		}
		for _, source := range sources {
			info, err := os.Stat(source)
			if err != nil {
				return nil, err
			}
			if info.Mode().IsRegular() {
				mode := fs.FileMode(0o644)
				if info.Mode()&0o111 != 0 {
					mode = 0o755
				}
				files = append(files, file{path: path.Join(below, d.folder, filepath.Base(source)), mode: mode, source: source})
			}
		}
	}
	licenses, err := b.licenses()
	if err != nil {
		return nil, err
	}
	source, err := b.write("licenses.txt", []byte(licenses))
	return append(files, file{path: path.Join(below, "licenses.txt"), mode: 0o644, source: source}), err
}

// write keeps what was made for the packages, and returns where.
func (b *build) write(name string, data []byte) (string, error) {
	target := filepath.Join(b.work, "made", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	return target, os.WriteFile(target, data, 0o644)
}

// gzipped compresses as `gzip -9n`: without a name and a time.
func gzipped(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// read returns a file of the repository.
func (b *build) read(name string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(b.root, filepath.FromSlash(name)))
	return string(raw), err
}

// installed is a text of contrib/ as a package installs it: with the programs in /usr/bin.
func installed(text string) string {
	return strings.ReplaceAll(text, "/usr/local/", "/usr/")
}

// unitNames returns the unit files of contrib/, by their path there.
func (b *build) unitNames() (names []string, err error) {
	for _, pattern := range []string{"contrib/*.service", "contrib/*.timer", "contrib/*/*.service", "contrib/*/*.timer"} {
		found, err := filepath.Glob(filepath.Join(b.root, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			name, err := filepath.Rel(b.root, path)
			if err != nil {
				return nil, err
			}
			names = append(names, filepath.ToSlash(name))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("contrib/ has no unit")
	}
	return names, nil
}
