package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	// imageUser owns /data, and runs the daemon. It needs no entry in a passwd file.
	imageUser = 65532

	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// A descriptor names a blob of an image.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *ociPlatform      `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type ociPlatform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// A layout is an OCI image layout: an index, and blobs that are named by their hash
// (https://github.com/opencontainers/image-spec/blob/main/image-layout.md). It is so little that no
// library is worth its dependencies.
type layout struct {
	build *build
	blobs []file
	known map[string]bool
}

// image builds the image for containers as one file, an OCI layout in a tar archive, with all
// architectures in it. docker load, podman load and skopeo read it.
func image(b *build) error {
	l := &layout{build: b, known: make(map[string]bool)}
	var manifests []descriptor
	for _, arch := range architectures {
		manifest, err := l.manifest(arch)
		if err != nil {
			return err
		}
		manifest.Platform = &ociPlatform{arch, "linux"}
		manifests = append(manifests, manifest)
	}
	// One index of both architectures is the image. The index of the layout names it.
	both, err := l.json(indexType, map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": manifests})
	if err != nil {
		return err
	}
	both.Annotations = map[string]string{
		"org.opencontainers.image.ref.name": b.tag(),            // for skopeo and podman
		"io.containerd.image.name":          "ancre:" + b.tag(), // for docker
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []descriptor{both}})
	if err != nil {
		return err
	}
	files := l.blobs
	for name, text := range map[string]string{"index.json": string(index), "oci-layout": `{"imageLayoutVersion":"1.0.0"}`} {
		source, err := b.write("image/"+name, []byte(text))
		if err != nil {
			return err
		}
		files = append(files, file{path: name, mode: 0o644, source: source})
	}
	sortFiles(files)
	archive, err := tarred(files, b.time)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, "ancre_"+b.version+"_oci.tar"), archive, 0o644)
}

// manifest adds the image of one architecture.
func (l *layout) manifest(arch string) (descriptor, error) {
	contents, err := l.build.imageContents(arch)
	if err != nil {
		return descriptor{}, err
	}
	archive, err := tarred(contents, l.build.time)
	if err != nil {
		return descriptor{}, err
	}
	compressed, err := gzipped(archive)
	if err != nil {
		return descriptor{}, err
	}
	layer, err := l.blob(layerType, compressed)
	if err != nil {
		return descriptor{}, err
	}
	created := l.build.time.Format(time.RFC3339)
	config, err := l.json(configType, map[string]any{
		"created": created, "architecture": arch, "os": "linux",
		"config": map[string]any{
			"User":         fmt.Sprintf("%d:%d", imageUser, imageUser),
			"Env":          []string{"PATH=/usr/bin", "HOME=/data"},
			"Entrypoint":   []string{"/usr/bin/ancred"},
			"Cmd":          []string{"--datadir", "/data"},
			"Volumes":      map[string]any{"/data": struct{}{}},
			"WorkingDir":   "/data",
			"StopSignal":   "SIGTERM",
			"ExposedPorts": map[string]any{"14780/tcp": struct{}{}, "14788/tcp": struct{}{}, "14790/tcp": struct{}{}},
			"Labels": map[string]string{
				"org.opencontainers.image.title": "ancre", "org.opencontainers.image.version": l.build.version,
				"org.opencontainers.image.licenses": "MIT", "org.opencontainers.image.description": "anchors hashes in Bitcoin",
			},
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{sha256Name(archive)}},
		"history": []any{map[string]any{"created": created, "created_by": "tools/packages"}},
	})
	if err != nil {
		return descriptor{}, err
	}
	return l.json(manifestType, map[string]any{"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": []descriptor{layer}})
}

// imageContents lists the files of the image: the programs, the folder of the data, and the
// certificates with which "ancre upgrade" and "ancre verify" know the public calendars.
func (b *build) imageContents(arch string) ([]file, error) {
	programs, err := b.program("linux/" + arch)
	if err != nil {
		return nil, err
	}
	certificates, err := b.write("image/ca-certificates.crt", rootCertificates())
	if err != nil {
		return nil, err
	}
	licenses, err := b.licenses()
	if err != nil {
		return nil, err
	}
	others, err := b.write("licenses.txt", []byte(licenses))
	if err != nil {
		return nil, err
	}
	dir := fs.ModeDir | 0o755
	list := []file{
		{path: "data", mode: fs.ModeDir | 0o700, uid: imageUser},
		{path: "etc", mode: dir}, {path: "etc/ssl", mode: dir}, {path: "etc/ssl/certs", mode: dir},
		{path: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, source: certificates},
		{path: "tmp", mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{path: "usr", mode: dir}, {path: "usr/bin", mode: dir}, {path: "usr/share", mode: dir},
		{path: "usr/share/doc", mode: dir}, {path: "usr/share/doc/ancre", mode: dir},
		{path: "usr/bin/ancre", mode: 0o755, source: filepath.Join(programs, "ancre")},
		{path: "usr/bin/ancred", mode: 0o755, source: filepath.Join(programs, "ancred")},
		{path: "usr/bin/ancre-register", mode: 0o755, source: filepath.Join(programs, "ancre-register")},
		{path: "usr/share/doc/ancre/LICENSE", mode: 0o644, source: filepath.Join(b.root, "LICENSE")},
		{path: "usr/share/doc/ancre/licenses.txt", mode: 0o644, source: others},
		{path: "usr/share/doc/ancre/sample.conf", mode: 0o644, source: filepath.Join(b.root, "sample.conf")},
		{path: "usr/share/doc/ancre/register.sample.conf", mode: 0o644, source: filepath.Join(b.root, "register.sample.conf")},
	}
	sortFiles(list)
	return list, nil
}

// rootCertificates are Mozilla's, of the version that go.sum names. Those that Mozilla trusts only
// under conditions are left out.
func rootCertificates() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return text.Bytes()
}

// tag is the version, in the characters that a tag may have.
func (b *build) tag() string {
	return string(bytes.ReplaceAll([]byte(b.version), []byte("+"), []byte("-")))
}

// json adds a blob of JSON.
func (l *layout) json(mediaType string, v any) (descriptor, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return l.blob(mediaType, data)
}

// blob adds a blob, unless it is there.
func (l *layout) blob(mediaType string, data []byte) (descriptor, error) {
	d := descriptor{MediaType: mediaType, Digest: sha256Name(data), Size: len(data)}
	if l.known[d.Digest] {
		return d, nil
	}
	l.known[d.Digest] = true
	name := "blobs/sha256/" + d.Digest[len("sha256:"):]
	source, err := l.build.write("image/"+name, data)
	l.blobs = append(l.blobs, file{path: name, mode: 0o644, source: source})
	return d, err
}

func sha256Name(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }
