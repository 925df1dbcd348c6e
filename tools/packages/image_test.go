package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// untar returns the files of an archive, and their heads.
func untar(t *testing.T, r io.Reader) (map[string][]byte, map[string]*tar.Header) {
	t.Helper()
	files, heads := make(map[string][]byte), make(map[string]*tar.Header)
	for archive := tar.NewReader(r); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, heads
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[head.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
		heads[head.Name] = head
	}
}

// A reader of images starts at index.json and goes from descriptor to blob: each must be there,
// with the size and the hash that its descriptor says.
func TestTheImageCanBeReadBack(t *testing.T) {
	b := testBuild(t)
	if err := image(b); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(b.out, "ancre_1.0.0_oci.tar"))
	if err != nil {
		t.Fatal(err)
	}
	blobs, _ := untar(t, bytes.NewReader(raw))
	follow := func(d descriptor, into any) []byte {
		t.Helper()
		data, ok := blobs["blobs/sha256/"+d.Digest[len("sha256:"):]]
		if !ok || len(data) != d.Size || fmt.Sprintf("sha256:%x", sha256.Sum256(data)) != d.Digest {
			t.Fatalf("the blob of %+v: there %v, %d bytes", d, ok, len(data))
		}
		if into != nil {
			if err := json.Unmarshal(data, into); err != nil {
				t.Fatal(err)
			}
		}
		return data
	}
	var top, both struct{ Manifests []descriptor }
	if err := json.Unmarshal(blobs["index.json"], &top); err != nil || len(top.Manifests) != 1 {
		t.Fatalf("index.json: %+v, %v", top, err)
	}
	follow(top.Manifests[0], &both)
	if len(both.Manifests) != 2 {
		t.Fatalf("the image has %d architectures", len(both.Manifests))
	}
	for _, m := range both.Manifests {
		var manifest struct {
			Config descriptor
			Layers []descriptor
		}
		follow(m, &manifest)
		var config struct {
			Architecture string
			Config       struct {
				User       string
				Entrypoint []string
				Volumes    map[string]any
			}
			RootFS struct {
				DiffIDs []string `json:"diff_ids"`
			}
		}
		follow(manifest.Config, &config)
		layer, err := gzip.NewReader(bytes.NewReader(follow(manifest.Layers[0], nil)))
		if err != nil {
			t.Fatal(err)
		}
		archive, err := io.ReadAll(layer)
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != m.Platform.Architecture || config.RootFS.DiffIDs[0] != sha256Name(archive) {
			t.Errorf("the configuration is %+v, the layer %s", config, sha256Name(archive))
		}
		files, heads := untar(t, bytes.NewReader(archive))
		if config.Config.User != "65532:65532" || files[config.Config.Entrypoint[0][1:]] == nil {
			t.Errorf("the image runs %v as %q", config.Config.Entrypoint, config.Config.User)
		}
		for volume := range config.Config.Volumes {
			if head := heads[volume[1:]+"/"]; head == nil || head.Uid != imageUser || head.Mode != 0o700 {
				t.Errorf("%s is %+v", volume, head)
			}
		}
		if !x509.NewCertPool().AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt"]) {
			t.Error("the image has no certificates")
		}
	}
}

// The same input gives the same bytes, wherever it is built.
func TestArchivesDoNotDependOnTheFolder(t *testing.T) {
	var sums [2]string
	for i := range sums {
		b := testBuild(t)
		for _, kind := range kinds {
			if err := kind.build(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.sums(); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(b.out, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = string(raw)
	}
	if sums[0] != sums[1] || bytes.Count([]byte(sums[0]), []byte("\n")) != 4+len(platforms)+1 {
		t.Errorf("the sums are\n%s and\n%s", sums[0], sums[1])
	}
}
