package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"ancre/proof"
)

// BenchmarkStampOfAnUnchangedTree compares a stamp of a tree in which nothing has changed with a
// bare walk that looks at each file: "walks" is how often one could walk in the same time.
// ANCRE_BENCH_FILES is the number of files.
func BenchmarkStampOfAnUnchangedTree(b *testing.B) {
	files := 2000
	if n, err := strconv.Atoi(os.Getenv("ANCRE_BENCH_FILES")); err == nil {
		files = n
	}
	treeTime = func(*tree) time.Time { return time.Now().Add(time.Hour) }
	data, dir := b.TempDir(), b.TempDir() // no daemon is needed
	for i := range files {
		writeProven(b, filepath.Join(dir, fmt.Sprintf("%03d", i/100), fmt.Sprintf("minutes of %06d.pdf", i)), strconv.Itoa(i))
	}
	stamp := func() {
		if a := call(session{}, "--datadir", data, "stamp", "-q", "-r", dir); a.exit != exitDone || a.err != "" {
			b.Fatalf("%+v", a)
		}
	}
	stamp()
	var stamping, walking time.Duration
	for b.Loop() {
		began := time.Now()
		stamp()
		stamping += time.Since(began)
		began = time.Now()
		seen := 0
		err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				seen++
				_, err = d.Info()
			}
			return err
		})
		if err != nil || seen != 2*files {
			b.Fatalf("%d files, %v", seen, err)
		}
		walking += time.Since(began)
	}
	b.ReportMetric(float64(stamping)/float64(walking), "walks")
	b.ReportMetric(float64(files), "files")
}

// writeProven writes a file and a complete proof of it.
func writeProven(b *testing.B, path, content string) {
	b.Helper()
	sum := sha256.Sum256([]byte(content))
	f := &proof.File{HashOp: proof.SHA256, Digest: sum[:], Timestamp: &proof.Timestamp{Msg: sum[:], Attestations: []proof.Attestation{proof.BitcoinAt(1)}}}
	ots, err := f.Marshal()
	err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644), os.WriteFile(path+proofSuffix, ots, 0o644))
	if err != nil {
		b.Fatal(err)
	}
}
