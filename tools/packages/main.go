// Command packages builds what people install: Debian packages, archives for the other platforms,
// and an image for containers, with their SHA-256 sums. It is a module of its own, so that what
// nfpm needs stays out of Ancre's. The Makefile runs it:
//
//	go run -C tools/packages . [-root DIR] [-out DIR] [-version V] [-arch A] deb|tarballs|image …
//
// The same commit gives the same bytes in every folder: all times are the commit's (or
// SOURCE_DATE_EPOCH), all owners root, all lists sorted. The programs are those that `make` builds.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// kinds are what can be built, in this order.
var kinds = []struct {
	name  string
	files string // pattern of what it leaves in the output folder
	build func(*build) error
}{
	{"deb", "*.deb", debs},
	{"tarballs", "ancre_*.[tz]*[zp]", tarballs},
	{"image", "*_oci.tar", image},
}

// architectures are those of the Debian packages and of the image.
var architectures = []string{"amd64", "arm64"}

func main() {
	root := flag.String("root", "../..", "the repository")
	out := flag.String("out", "", "where the packages go (default bin/packages in the repository)")
	number := flag.String("version", "", "another version for the packages, to try upgrades")
	arch := flag.String("arch", "", "only this architecture of the Debian packages and the image")
	flag.Parse()
	if *arch != "" {
		architectures = []string{*arch}
	}
	if err := run(*root, *out, *number, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}

func run(root, out, version string, names []string) error {
	b, err := newBuild(root, out, version)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	for _, name := range names {
		i := slices.IndexFunc(kinds, func(k struct {
			name, files string
			build       func(*build) error
		}) bool {
			return k.name == name
		})
		if i < 0 {
			return fmt.Errorf("nothing is called %q: deb, tarballs or image", name)
		}
		old, err := filepath.Glob(filepath.Join(b.out, kinds[i].files))
		if err != nil {
			return err
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		if err := kinds[i].build(b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return b.sums()
}
