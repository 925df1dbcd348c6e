package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

const (
	maintainer  = "The Ancre authors <ancre@ancre.invalid>"
	description = `anchor hashes of documents in Bitcoin
Ancre proves that a document existed before a certain Bitcoin block. The
daemon ancred collects hashes, and anchors many of them with one small
payment. It needs no full node, and no service of other people. The command
ancre stamps files, and verifies their proofs.
.
The proofs have the OpenTimestamps format: any OpenTimestamps verifier reads
them.`

	registerDescription = `register of documents that are anchored in Bitcoin, with its public page
A council adds the documents of its meetings. The register has their hashes
anchored by ancred, keeps their proofs, and shows on a public page what the
council publishes. Citizens check files there, in their own browser.`
)

// debPackage is a Debian package.
type debPackage struct {
	name, description string
	depends, suggests []string
	programs          []string // in /usr/bin
	config            file     // below /etc/ancre
	scripts           string   // folder of its maintainer scripts
	register          bool     // the files of the register, not those of the node
	more              []file
}

// debPackages are the Debian packages: the node with the command, and the register for those who
// want one. The second is of the same version: they speak to each other.
func (b *build) debPackages() []debPackage {
	contrib := filepath.Join(b.root, "contrib")
	return []debPackage{
		{
			name: "ancre", description: description, programs: []string{"ancre", "ancred"}, scripts: "contrib/packages",
			depends:  []string{"systemd | systemd-standalone-sysusers | systemd-sysusers"},
			suggests: []string{"ancre-register", "bash-completion", "nginx | caddy", "prometheus"},
			config:   file{path: "/etc/ancre/ancre.conf", mode: 0o640, source: filepath.Join(contrib, "ancre.conf"), config: true},
			more:     []file{{path: "/etc/credstore", mode: fs.ModeDir | 0o700}}, // systemd's folder for LoadCredential=
		},
		{
			name: "ancre-register", description: registerDescription, programs: []string{"ancre-register"}, scripts: "contrib/packages/register", register: true,
			depends:  []string{"ancre (= " + b.debian + ")"},
			suggests: []string{"nginx | caddy"},
			config:   file{path: "/etc/ancre/register.conf", mode: 0o644, source: filepath.Join(contrib, "register.conf"), config: true},
		},
	}
}

// debs builds the Debian packages.
func debs(b *build) error {
	for _, arch := range architectures {
		for _, p := range b.debPackages() {
			contents, err := b.debContents(p, arch)
			if err != nil {
				return err
			}
			if err := b.deb(p, arch, contents); err != nil {
				return err
			}
		}
	}
	return nil
}

// debContents lists the files of a Debian package.
func (b *build) debContents(p debPackage, arch string) ([]file, error) {
	programs, err := b.program("linux/" + arch)
	if err != nil {
		return nil, err
	}
	list := append([]file{p.config}, p.more...)
	for _, name := range p.programs {
		list = append(list, file{path: "/usr/bin/" + name, mode: 0o755, source: filepath.Join(programs, name)})
	}
	documents := b.debDocuments
	if p.register {
		documents = b.debRegisterDocuments
	}
	for _, add := range []func() ([]file, error){
		func() ([]file, error) { return b.debUnits(p) },
		func() ([]file, error) { return b.debManuals(p) },
		documents,
	} {
		more, err := add()
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// isRegisters reports whether a file of contrib/, or a manual page, belongs to the register.
func isRegisters(name string) bool {
	return strings.Contains(path.Base(name), "register")
}

// debRegisterDocuments is what stands for the documents in the package of the register: they are in
// that of the node.
func (b *build) debRegisterDocuments() ([]file, error) {
	overrides := filepath.Join(b.root, "contrib", "packages", "register", "lintian-overrides")
	return []file{
		{path: "/usr/share/doc/ancre-register", mode: fs.ModeSymlink | 0o777, link: "ancre"},
		{path: "/usr/share/lintian/overrides/ancre-register", mode: 0o644, source: overrides},
	}, nil
}

// debUnits lists the units, what creates the user, and the commands that notify people.
func (b *build) debUnits(p debPackage) (list []file, err error) {
	names, err := b.unitNames()
	if err != nil {
		return nil, err
	}
	targets := map[string]string{
		"contrib/sysusers.d/" + p.name + ".conf": "/usr/lib/sysusers.d/" + p.name + ".conf",
	}
	for _, name := range names {
		if isRegisters(name) == p.register {
			targets[name] = "/usr/lib/systemd/system/" + path.Base(name)
		}
	}
	commands, err := filepath.Glob(filepath.Join(b.root, "contrib", "notify", "*"))
	if err != nil {
		return nil, err
	}
	for _, command := range commands {
		if p.register {
			break
		}
		targets["contrib/notify/"+filepath.Base(command)] = "/usr/lib/ancre/" + filepath.Base(command)
	}
	for name, target := range targets {
		mode := fs.FileMode(0o644)
		if path.Dir(target) == "/usr/lib/ancre" {
			mode = 0o755
		}
		text, err := b.read(name)
		if err != nil {
			return nil, err
		}
		source, err := b.write("deb"+target, []byte(installed(text)))
		if err != nil {
			return nil, err
		}
		list = append(list, file{path: target, mode: mode, source: source})
	}
	return list, nil
}

// debManuals lists the manual pages and the completions.
func (b *build) debManuals(p debPackage) (list []file, err error) {
	dir, err := b.manual()
	if err != nil {
		return nil, err
	}
	completions := map[string]string{
		"ancre.bash": "/usr/share/bash-completion/completions/ancre",
		"_ancre":     "/usr/share/zsh/vendor-completions/_ancre",
		"ancre.fish": "/usr/share/fish/vendor_completions.d/ancre.fish",

		"ancre-register.bash": "/usr/share/bash-completion/completions/ancre-register",
		"_ancre-register":     "/usr/share/zsh/vendor-completions/_ancre-register",
		"ancre-register.fish": "/usr/share/fish/vendor_completions.d/ancre-register.fish",
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		if isRegisters(name) != p.register {
			continue
		}
		source := filepath.Join(dir, name)
		if target := completions[name]; target != "" {
			list = append(list, file{path: target, mode: 0o644, source: source})
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		f, err := b.debGzipped(fmt.Sprintf("/usr/share/man/man%s/%s", name[len(name)-1:], name), string(text))
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// debGzipped makes a compressed file.
func (b *build) debGzipped(target, text string) (file, error) {
	data, err := gzipped([]byte(text))
	if err != nil {
		return file{}, err
	}
	source, err := b.write("deb"+target+".gz", data)
	return file{path: target + ".gz", mode: 0o644, source: source}, err
}

// debDocuments lists what is below /usr/share/doc, with the changelog and the licences as Debian
// has them.
func (b *build) debDocuments() ([]file, error) {
	const doc = "/usr/share/doc/ancre"
	list, err := b.documentFiles(doc)
	if err != nil {
		return nil, err
	}
	markdown, err := b.read("CHANGELOG.md")
	if err != nil {
		return nil, err
	}
	changes, err := debianChangelog(markdown, b.debian, b.time)
	if err != nil {
		return nil, err
	}
	changelog, err := b.debGzipped(doc+"/changelog", changes)
	if err != nil {
		return nil, err
	}
	license, err := b.read("LICENSE")
	if err != nil {
		return nil, err
	}
	copyright, err := b.read("contrib/packages/copyright")
	if err != nil {
		return nil, err
	}
	source, err := b.write("deb"+doc+"/copyright", []byte(debianCopyright(copyright, license)))
	if err != nil {
		return nil, err
	}
	overrides := filepath.Join(b.root, "contrib", "packages", "lintian-overrides")
	return append(list, changelog,
		file{path: doc + "/copyright", mode: 0o644, source: source},
		file{path: "/usr/share/lintian/overrides/ancre", mode: 0o644, source: overrides},
		file{path: doc + "/examples", mode: fs.ModeSymlink | 0o777, link: "contrib"}), nil
}

// debianCopyright fills in who holds the copyright, and the text of the licence.
func debianCopyright(form, license string) string {
	var holder string
	var text strings.Builder
	_, license, _ = strings.Cut(license, "\n\n")
	for line := range strings.Lines(license) {
		line = strings.TrimSpace(line)
		if after, ok := strings.CutPrefix(line, "Copyright (c) "); ok {
			holder = after
			continue
		}
		if line == "" {
			line = "."
		}
		if text.Len() > 0 || line != "." {
			text.WriteString(" " + line + "\n")
		}
	}
	return strings.Replace(form, "COPYRIGHT", holder, 1) + text.String()
}

// deb writes the package of an architecture.
func (b *build) deb(p debPackage, arch string, list []file) error {
	info := &nfpm.Info{
		Name: p.name, Arch: arch, Platform: "linux", Version: b.debian, VersionSchema: "none",
		Section: "utils", Priority: "optional", Maintainer: maintainer, Description: p.description,
		MTime: b.time, DisableGlobbing: true,
	}
	info.Depends = p.depends
	info.Recommends = []string{"ca-certificates"}
	info.Suggests = p.suggests
	info.Deb.Compression = "gzip" // xz would save a fifth, and take ten times as long
	for _, f := range list {
		content := &files.Content{Source: f.source, Destination: f.path, Type: files.TypeFile,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: f.mode.Perm(), MTime: b.time}}
		switch {
		case f.config:
			content.Type = files.TypeConfig
		case f.mode.IsDir():
			content.Type = files.TypeDir
		case f.link != "":
			content.Type, content.Source = files.TypeSymlink, f.link
		}
		info.Contents = append(info.Contents, content)
	}
	slices.SortFunc(info.Contents, func(a, b *files.Content) int { return strings.Compare(a.Destination, b.Destination) })
	if err := b.scripts(p, &info.Scripts); err != nil {
		return err
	}

	out, err := os.Create(filepath.Join(b.out, fmt.Sprintf("%s_%s_%s.deb", p.name, b.debian, arch)))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := deb.Default.Package(nfpm.WithDefaults(info), out); err != nil {
		return err
	}
	return out.Close()
}

// scripts fills in the maintainer scripts, which know the names of our units.
func (b *build) scripts(p debPackage, s *nfpm.Scripts) error {
	names, err := b.unitNames()
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return isRegisters(name) != p.register })
	for i, name := range names {
		names[i] = path.Base(name)
	}
	for name, script := range map[string]*string{"postinst": &s.PostInstall, "prerm": &s.PreRemove, "postrm": &s.PostRemove} {
		text, err := b.read(p.scripts + "/" + name)
		if err != nil {
			return err
		}
		if *script, err = b.write("scripts/"+p.name+"/"+name, []byte(strings.ReplaceAll(text, "@UNITS@", strings.Join(names, " ")))); err != nil {
			return err
		}
	}
	return nil
}
