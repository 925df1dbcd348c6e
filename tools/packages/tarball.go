package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// platforms are those for which there are archives.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"}

// tarballs builds an archive for each platform: .zip for Windows, .tar.gz for the others.
// Everything is below one folder, ancre-VERSION.
func tarballs(b *build) error {
	for _, platform := range platforms {
		goos, goarch, _ := strings.Cut(platform, "/")
		list, err := b.tarballContents(platform)
		if err != nil {
			return err
		}
		name, archive := fmt.Sprintf("ancre_%s_%s_%s", b.version, goos, goarch), []byte(nil)
		if goos == "windows" {
			name += ".zip"
			archive, err = zipped(list, b.time)
		} else {
			name += ".tar.gz"
			if archive, err = tarred(list, b.time); err == nil {
				archive, err = gzipped(archive)
			}
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.out, name), archive, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tarballContents lists the files of an archive.
func (b *build) tarballContents(platform string) ([]file, error) {
	top := "ancre-" + b.version
	list, err := b.documentFiles(top)
	if err != nil {
		return nil, err
	}
	list = append(list, file{path: path.Join(top, "LICENSE"), mode: 0o644, source: filepath.Join(b.root, "LICENSE")})
	programs, err := b.program(platform)
	if err != nil {
		return nil, err
	}
	manuals, err := b.manual()
	if err != nil {
		return nil, err
	}
	for source, at := range map[string]struct {
		folder string
		mode   fs.FileMode
	}{programs: {"", 0o755}, manuals: {"man", 0o644}} {
		entries, err := os.ReadDir(source)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			folder := at.folder
			if folder == "man" && strings.Contains(entry.Name(), "ancre") && !strings.ContainsAny(path.Ext(entry.Name()), "158") {
				folder = "completions"
			}
			list = append(list, file{path: path.Join(top, folder, entry.Name()), mode: at.mode, source: filepath.Join(source, entry.Name())})
		}
	}
	sortFiles(list)
	return list, nil
}

func sortFiles(list []file) {
	slices.SortFunc(list, func(a, b file) int { return strings.Compare(a.path, b.path) })
}

// tarred writes files as a tar archive of root's, with one time for all.
func tarred(list []file, now time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range list {
		head := &tar.Header{Name: f.path, Mode: tarMode(f.mode), Uid: f.uid, Gid: f.uid, ModTime: now, Format: tar.FormatPAX}
		var data []byte
		if f.mode.IsDir() {
			head.Typeflag, head.Name = tar.TypeDir, f.path+"/"
		} else {
			var err error
			if data, err = os.ReadFile(f.source); err != nil {
				return nil, err
			}
			head.Typeflag, head.Size = tar.TypeReg, int64(len(data))
		}
		if err := w.WriteHeader(head); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// tarMode is a mode as tar has it.
func tarMode(mode fs.FileMode) int64 {
	bits := int64(mode.Perm())
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}

// zipped writes files as a zip archive.
func zipped(list []file, now time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range list {
		head := &zip.FileHeader{Name: f.path, Method: zip.Deflate, Modified: now}
		head.SetMode(f.mode)
		entry, err := w.CreateHeader(head)
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(f.source)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
