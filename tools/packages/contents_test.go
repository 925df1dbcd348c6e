package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testBuild builds from this repository, with empty files for the programs and the manual pages.
func testBuild(t *testing.T) *build {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	b := &build{root: root, out: t.TempDir(), work: t.TempDir(), time: time.Unix(1700000000, 0).UTC(), version: "1.0.0", debian: "1.0.0",
		programs: make(map[string]string), manuals: t.TempDir()}
	for _, platform := range platforms {
		dir := t.TempDir()
		for _, name := range []string{"ancre", "ancred", "ancre-register"} {
			touch(t, filepath.Join(dir, name))
		}
		b.programs[platform] = dir
	}
	for _, name := range []string{"ancre.1", "ancre-stamp.1", "ancred.8", "ancre.conf.5", "ancre.bash", "ancre.fish", "_ancre",
		"ancre-register.1", "ancre-register-add.1", "register.conf.5", "ancre-register.bash", "ancre-register.fish", "_ancre-register"} {
		touch(t, filepath.Join(b.manuals, name))
	}
	return b
}

// allDebContents lists the files of both Debian packages. No file is in both.
func allDebContents(t *testing.T, b *build) (all []file) {
	t.Helper()
	seen := make(map[string]bool)
	for _, p := range b.debPackages() {
		list, err := b.debContents(p, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if seen[f.path] {
				t.Errorf("%s is in both packages", f.path)
			}
			seen[f.path] = true
		}
		all = append(all, list...)
	}
	return all
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(filepath.Base(path)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every file of contrib/ and docs/ that the repository has is in each package. A new folder there
// needs its line in documents.
func TestEveryFileForPeopleIsInThePackages(t *testing.T) {
	b := testBuild(t)
	deb := allDebContents(t, b)
	archive, err := b.tarballContents("linux/arm64")
	if err != nil {
		t.Fatal(err)
	}
	has := func(list []file, name string) bool {
		return slices.ContainsFunc(list, func(f file) bool { return f.path == name })
	}
	for _, top := range []string{"contrib", "docs"} {
		err := filepath.WalkDir(filepath.Join(b.root, top), func(source string, entry fs.DirEntry, err error) error {
			name, _ := filepath.Rel(b.root, source)
			name = filepath.ToSlash(name)
			switch {
			case err != nil:
				return err
			case name == "contrib/packages", name == "contrib/sysusers.d": // for those who make packages
				return fs.SkipDir
			case entry.Type().IsRegular() && !has(deb, "/usr/share/doc/ancre/"+name):
				t.Errorf("the Debian package has no %s", name)
			case entry.Type().IsRegular() && !has(archive, "ancre-1.0.0/"+name):
				t.Errorf("the archives have no %s", name)
			}
			switch path.Ext(name) {
			case ".service", ".timer":
				if !has(deb, "/usr/lib/systemd/system/"+path.Base(name)) {
					t.Errorf("the Debian package does not install the unit %s", name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/usr/bin/ancred", "/etc/ancre/ancre.conf", "/usr/lib/sysusers.d/ancre.conf", "/usr/share/man/man1/ancre-stamp.1.gz",
		"/usr/share/man/man5/ancre.conf.5.gz", "/usr/share/bash-completion/completions/ancre", "/usr/share/doc/ancre/changelog.gz", "/usr/share/doc/ancre/licenses.txt",
		"/usr/bin/ancre-register", "/etc/ancre/register.conf", "/usr/lib/sysusers.d/ancre-register.conf", "/usr/share/man/man1/ancre-register-add.1.gz",
		"/usr/share/man/man5/register.conf.5.gz", "/usr/share/bash-completion/completions/ancre-register", "/usr/share/doc/ancre/register.sample.conf"} {
		if !has(deb, name) {
			t.Errorf("the Debian package has no %s", name)
		}
	}
}

// What is installed in /usr/bin must not be looked for in /usr/local/bin.
func TestInstalledFilesNameInstalledPrograms(t *testing.T) {
	b := testBuild(t)
	deb := allDebContents(t, b)
	units := 0
	for _, f := range deb {
		if strings.HasPrefix(f.path, "/usr/lib/") || strings.HasPrefix(f.path, "/etc/") && f.source != "" {
			units++
			if text, err := os.ReadFile(f.source); err != nil || strings.Contains(string(text), "/usr/local") {
				t.Errorf("%s names /usr/local: %v", f.path, err)
			}
		}
	}
	if units < 3 {
		t.Errorf("only %d files were looked at", units)
	}
}

// Purge must leave the data, the backups and the passphrase alone, and so must every other script.
func TestNoScriptRemovesData(t *testing.T) {
	for _, name := range []string{"postinst", "prerm", "postrm", "register/postinst", "register/prerm", "register/postrm"} {
		text, err := os.ReadFile("../../contrib/packages/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "rm ") && line != `rm -f /etc/systemd/system/*.wants/"$unit"` || strings.Contains(line, "deluser") || strings.Contains(line, "-delete") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}
