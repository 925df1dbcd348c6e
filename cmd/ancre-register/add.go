package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ancre/internal/atomicfile"
	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/internal/progress"
	"ancre/register"
	"ancre/register/control"
	"ancre/register/store"

	"github.com/spf13/cobra"
)

// adding is one call of the verb.
type adding struct {
	*app
	what      control.NewDocument
	recursive bool
	name      string

	bar                         *progress.Bar
	added, already, failed, cut int
	status                      int
}

// addResult is what is printed about one file. With --json it is one line, as it is.
type addResult struct {
	File      string `json:"file"` // as it was named; "-" is standard input
	FileBytes string `json:"file_bytes,omitempty"`
	Result    string `json:"result"` // added, already, failed
	Reason    string `json:"reason,omitempty"`
	Code      string `json:"code,omitempty"`
	*control.AddedDocument
}

func (a *app) addCommand() *cobra.Command {
	v := &adding{app: a}
	cmd := &cobra.Command{
		Use:   "add FILE…",
		Short: "Add documents to the register",
		Long: `Add documents to the register. When a file is reported as added, its bytes are on the register's disk, and its hash is on its way
to the node, however long that is away.

Adding a file again changes nothing. A file with the same name, meeting and kind but other bytes replaces the earlier
one: the register keeps both, and the page shows when. A file that changes while it is read is not taken.

Kinds: ` + strings.Join(kindNames(), ", ") + `; the French words are understood too.

With -r, FILE may be a directory: all files below it are added. Without --kind, the folder in which a file lies then
names its kind, as in the watched folder. Hidden files, links, proofs and receipts are left out.

"-" is standard input: name the document with --name.`,
		Example: `  ancre-register add --meeting 2026-12-15 --kind convocation convocation.pdf
  ancre-register add --meeting 2026-12-15 --kind deliberation --number 2026-112 --title "Budget 2027" --publish d112.pdf
  ancre-register add -r --meeting 2026-12-15 seance/
  generate | ancre-register add --meeting 2026-12-15 --kind annex --name plan.pdf -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return v.run(cmd.Context(), args) },
	}
	f := cmd.Flags()
	f.StringVar(&v.what.Meeting, "meeting", "", "`NAME` of the meeting, such as 2026-12-15 (default: of no meeting)")
	f.StringVar(&v.what.Kind, "kind", "", "`KIND` of document")
	f.StringVar(&v.what.Title, "title", "", "`TEXT` to show instead of the file's name")
	f.StringVar(&v.what.Number, "number", "", "the authority's own `NUMBER`, such as 2026-112")
	f.StringVar(&v.name, "name", "", "`NAME` of the document instead of the file's")
	f.StringVar(&v.what.Replaces, "replaces", "", "`DIGEST` of the document that this one replaces, whatever its name is")
	f.BoolVar(&v.what.Publish, "publish", false, "put it on line, and its meeting")
	f.BoolVar(&v.what.ListOnly, "list-only", false, "with --publish: show name, digest and proof, and do not offer the file itself")
	f.BoolVarP(&v.recursive, "recursive", "r", false, "add all files below directories")
	a.addQuiet(f)
	f.SortFlags = false
	return cmd
}

func kindNames() []string {
	var names []string
	for _, k := range store.Kinds {
		names = append(names, string(k))
	}
	return names
}

func (v *adding) run(ctx context.Context, args []string) error {
	if err := v.check(args); err != nil {
		return err
	}
	files, err := v.find(args)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("there is nothing to add: the directories hold no files of documents")
	}
	v.begin(files)
	defer v.bar.Finish()
	for i, file := range files {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		result, err := v.one(ctx, file)
		if err != nil && isFatal(err) {
			v.bar.Finish()
			if i > 0 {
				return fmt.Errorf("%w (%s before that)", err, humanize.Plural(v.added+v.already, "file was taken", "files were taken"))
			}
			return err
		}
		if err := v.tell(file.path, result, err); err != nil {
			return err
		}
	}
	v.bar.Finish()
	if len(files) > 1 {
		v.note("%s", v.summary())
	}
	return command.Finish(v.status)
}

// check refuses flags that make no sense together.
func (v *adding) check(args []string) error {
	stdin := 0
	for _, arg := range args {
		if arg == "-" {
			stdin++
		}
	}
	alone := len(args) == 1 && !v.recursive
	switch {
	case stdin > 1:
		return command.Usagef("standard input can be added once: \"-\" is named %d times", stdin)
	case stdin == 1 && v.name == "":
		return command.Usagef("standard input has no name: give the document one with --name")
	case v.name != "" && !alone:
		return command.Usagef("--name names one document: add one file at a time with it")
	case v.what.Title != "" && !alone, v.what.Number != "" && !alone, v.what.Replaces != "" && !alone:
		return command.Usagef("--title, --number and --replaces are for one document: add one file at a time with them")
	case v.what.ListOnly && !v.what.Publish:
		return command.Usagef("--list-only says how to publish: add --publish")
	case v.what.Kind == "" && !v.recursive:
		return command.Usagef("what kind of document is it? Name it with --kind: %s", strings.Join(kindNames(), ", "))
	case v.what.Kind != "":
		kind, err := register.ParseKind(v.what.Kind)
		if err != nil {
			return command.Usagef("--kind: %w", err)
		}
		v.what.Kind = string(kind)
	}
	return nil
}

// source is a file to add.
type source struct {
	path   string
	kind   string // "": it could not be told, see reason
	reason error
	size   int64
}

// find lists the files that the arguments mean.
func (v *adding) find(args []string) ([]source, error) {
	var files []source
	for _, arg := range args {
		info, err := os.Stat(arg)
		if arg == "-" || err != nil || !info.IsDir() {
			s := source{path: arg, kind: v.what.Kind}
			if arg != "-" && err == nil {
				s.size = info.Size()
			}
			if s.kind == "" {
				s.kind, s.reason = kindOfFolder(arg)
			}
			files = append(files, s)
			continue
		}
		if !v.recursive {
			return nil, command.Usagef("%s is a directory: -r adds all files below it", arg)
		}
		if files, err = v.findBelow(arg, files); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// findBelow adds the files below a directory, in the order of their names.
func (v *adding) findBelow(dir string, files []source) ([]source, error) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != dir && strings.HasPrefix(d.Name(), "."):
			v.cut++
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case !d.Type().IsRegular() || isProof(d.Name()) || atomicfile.IsTemp(d.Name()):
			v.cut++
			return nil
		}
		s := source{path: path, kind: v.what.Kind}
		if s.kind == "" {
			s.kind, s.reason = kindOfFolder(path)
		}
		if info, err := d.Info(); err == nil {
			s.size = info.Size()
		}
		files = append(files, s)
		return nil
	})
	return files, err
}

// isProof reports whether a file has the name of a proof or a receipt.
func isProof(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".ots") || strings.HasSuffix(name, ".ots.bak") || strings.HasSuffix(name, ".receipt.json")
}

// kindOfFolder reads the kind of a document from the name of the folder that it lies in.
func kindOfFolder(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	kind, err := register.ParseKind(filepath.Base(filepath.Dir(path)))
	if err != nil {
		return "", fmt.Errorf("without --kind, the folder of a file names its kind: %w", err)
	}
	return string(kind), nil
}

// begin shows progress: each file is read twice, once for its hash.
func (v *adding) begin(files []source) {
	var total int64
	for _, f := range files {
		total += 2 * f.size
	}
	v.bar = v.startProgress("adding", total, true)
}

// one adds one file.
func (v *adding) one(ctx context.Context, s source) (*control.AddedDocument, error) {
	if s.reason != nil {
		return nil, s.reason
	}
	n := v.what
	n.Kind, n.FileName = s.kind, filepath.Base(s.path)
	if v.name != "" {
		n.FileName = v.name
	}
	if s.path == "-" {
		return v.send(ctx, n, v.in, -1)
	}
	file, info, err := atomicfile.OpenInput(s.path)
	if err != nil {
		return nil, readError(err)
	}
	defer file.Close()
	if !info.Mode().IsRegular() { // a pipe of this process, which can be read once
		return v.send(ctx, n, file, -1)
	}
	if info.Size() == 0 {
		return nil, errors.New("is empty: there is nothing to prove")
	}
	if n.Digest, err = v.hash(ctx, file); err != nil {
		return nil, readError(err)
	}
	if known, err := v.known(ctx, n); err != nil || known != nil {
		return known, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, readError(err)
	}
	return v.send(ctx, n, v.counted(file), info.Size())
}

// hash reads a file to its end.
func (v *adding) hash(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, v.counted(r)}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// known returns the document if its meeting has these bytes already and nothing else is asked for,
// so that they need not be sent.
func (v *adding) known(ctx context.Context, n control.NewDocument) (*control.AddedDocument, error) {
	if n.Publish || n.Replaces != "" {
		return nil, nil
	}
	q := control.DocumentQuery{Digest: n.Digest, Meeting: n.Meeting, Limit: 1}
	if n.Meeting == "" {
		q.Meeting = control.NoMeeting
	}
	var found control.Documents
	err := v.call(ctx, func(c *control.Client) (err error) {
		found, err = c.Documents(ctx, q)
		return err
	})
	if err != nil || len(found.Documents) == 0 {
		return nil, err
	}
	return &control.AddedDocument{Document: found.Documents[0]}, nil
}

// send streams the bytes to the register. Standard input cannot be sent again, so a register that
// is busy is asked again only for files.
func (v *adding) send(ctx context.Context, n control.NewDocument, content io.Reader, size int64) (*control.AddedDocument, error) {
	var added control.AddedDocument
	again, canRepeat := content.(io.Seeker)
	tries := 0
	err := v.call(ctx, func(c *control.Client) (err error) {
		if tries++; tries > 1 && canRepeat {
			if _, err := again.Seek(0, io.SeekStart); err != nil {
				return readError(err)
			}
		}
		added, err = c.Add(ctx, n, content, size)
		if !canRepeat && control.HasCode(err, control.CodeBusy) {
			return errors.New(err.Error())
		}
		return err
	})
	return &added, err
}

// counted returns a reader that moves the progress bar.
func (v *adding) counted(r io.Reader) io.Reader {
	if seeker, ok := r.(io.ReadSeeker); ok {
		return &countedFile{seeker, v.bar}
	}
	return r
}

type countedFile struct {
	io.ReadSeeker
	bar *progress.Bar
}

func (c *countedFile) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	c.bar.AddBytes(int64(n))
	return n, err
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// readError leaves the path out of an error of the file system: the message names it anyway.
func readError(err error) error {
	var kind *atomicfile.KindError
	if errors.As(err, &kind) {
		return errors.New("is not a regular file: pipe its content to \"add --name NAME -\"")
	}
	var path *fs.PathError
	if errors.As(err, &path) && !errors.Is(err, fs.ErrPermission) {
		return path.Err
	}
	return atomicfile.Denied(err)
}

// isFatal says whether there is no use in going on with the next file: only a refusal of the
// register, or the file itself, concerns one file alone.
func isFatal(err error) bool {
	var refused *control.Error
	if errors.As(err, &refused) {
		return refused.Code == control.CodeFull || refused.Code == control.CodeInternal || refused.Code == control.CodeDamaged
	}
	var exit *command.Error
	return errors.Is(err, control.ErrNotRunning) || errors.Is(err, context.Canceled) || errors.Is(err, control.ErrNoAnswer) || errors.As(err, &exit)
}

// tell prints what became of a file.
func (v *adding) tell(path string, d *control.AddedDocument, err error) error {
	r := addResult{Result: "added"}
	r.File, r.FileBytes = printable.FileName(path)
	switch {
	case err != nil:
		v.failed++
		v.status = worse(v.status, exitFailed)
		r.Result, r.Reason = "failed", printable.Name(err.Error())
		var refused *control.Error
		if errors.As(err, &refused) {
			r.Code = refused.Code
		}
	case d.Added:
		v.added++
		r.AddedDocument = d
	default:
		v.already++
		r.Result, r.AddedDocument = "already", d
	}
	if v.json {
		return v.printJSON(r, true)
	}
	v.bar.Above(func() { v.tellPerson(path, d, err) })
	return nil
}

func (v *adding) tellPerson(path string, d *control.AddedDocument, err error) {
	if err != nil {
		v.complain("%s: %v", path, err)
		return
	}
	where := "of no meeting"
	if d.Meeting != "" {
		where = "of meeting " + d.Meeting
	}
	if d.Added {
		v.say("%s: added, %s %s, %s\n", path, d.Kind, where, proofWords(d.Document))
	} else {
		v.say("%s: already there since %s, %s %s, %s\n", path, humanize.Local(d.AddedAt), d.Kind, where, proofWords(d.Document))
	}
	if d.Replaced != nil {
		v.say("%s: replaces %s of %s (%s)\n", path, d.Replaced.FileName, humanize.Local(d.Replaced.AddedAt), d.Replaced.Digest)
	}
	for _, note := range d.Notes {
		v.note("%s: %s", path, note)
	}
}

func (v *adding) summary() string {
	parts := []string{humanize.Count(v.added) + " added", humanize.Count(v.already) + " already there"}
	if v.failed > 0 {
		parts = append(parts, humanize.Count(v.failed)+" failed")
	}
	if v.cut > 0 {
		parts = append(parts, humanize.Count(v.cut)+" left out (hidden files, links, proofs, receipts)")
	}
	return strings.Join(parts, ", ")
}
