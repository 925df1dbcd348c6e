package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The name that the file of a licence has. GOROOT has one too, for the standard library, and the
// scripts of the page have one for what is bundled in them.
var licenseFile = regexp.MustCompile(`(?i)^(LICEN[CS]ES?|COPYING|NOTICE)(\.(md|txt))?$`)

// licenses returns the text of every licence of what the programs contain: most ask that it goes
// along with them.
func (b *build) licenses() (string, error) {
	if b.licenseTexts != "" {
		return b.licenseTexts, nil
	}
	var modules []string
	for _, platform := range platforms {
		goos, goarch, _ := strings.Cut(platform, "/")
		out, err := b.command([]string{"CGO_ENABLED=0", "GOOS=" + goos, "GOARCH=" + goarch}, "go", "list", "-deps",
			"-f", `{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{"\t"}}{{.Dir}}{{end}}{{end}}`, "./cmd/ancred", "./cmd/ancre", "./cmd/ancre-register")
		if err != nil {
			return "", err
		}
		modules = append(modules, strings.Split(strings.TrimSpace(out), "\n")...)
	}
	slices.Sort(modules)
	modules = slices.Compact(modules)
	modules = slices.DeleteFunc(modules, func(m string) bool { return m == "" })
	goroot, err := b.command(nil, "go", "env", "GOROOT")
	if err != nil {
		return "", err
	}
	modules = append(modules, "The Go standard library\t"+strings.TrimSpace(goroot))
	modules = append(modules, "The scripts of the public page\t"+filepath.Join(b.root, "register/page/verifier/dist"))

	var text strings.Builder
	text.WriteString("The programs of Ancre contain these modules of other people, under these licences.\n")
	for _, module := range modules {
		name, dir, _ := strings.Cut(module, "\t")
		found, err := licenseTexts(dir)
		if err != nil {
			return "", err
		}
		if found == "" {
			return "", fmt.Errorf("%s has no file with its licence in %s", name, dir)
		}
		fmt.Fprintf(&text, "\n\n==== %s ====\n%s", name, found)
	}
	b.licenseTexts = text.String()
	return b.licenseTexts, nil
}

func licenseTexts(dir string) (string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, entry := range entries {
		if !licenseFile.MatchString(entry.Name()) || entry.IsDir() {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "\n%s\n", strings.TrimSpace(strings.ReplaceAll(string(raw), "\r\n", "\n")))
	}
	return text.String(), nil
}
