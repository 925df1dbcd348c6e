package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"runtime"
	"slices"
	"time"

	"ancre/internal/atomicfile"
	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/progress"
	"ancre/proof"
	"ancre/rpc"
	"ancre/verify"

	"github.com/spf13/cobra"
)

const (
	// submitSize is how many digests one call submits: few enough for one of the daemon's group
	// commits.
	submitSize = 1000

	// writers is how many proofs are written at once. Each is synced, and a disk does several syncs
	// in the time of one.
	writers = 16
)

type stampOptions struct {
	recursive bool
	rehash    bool
	digests   []string
	output    string
	wait      bool
}

func (a *app) stampCommand() *cobra.Command {
	var o stampOptions
	cmd := &cobra.Command{
		Use:   "stamp FILE…",
		Short: "Submit the hashes of files, and write FILE.ots beside each",
		Long: `Submit the SHA-256 of each file to the daemon, and write the proof beside the file as FILE.ots. The file stays on this machine.

The proof is pending at first. "ancre upgrade FILE.ots" completes it once Bitcoin has confirmed it, after some hours. If FILE.ots
exists, it stays as it is, or the new proof is added to it. Files that are proofs or receipts themselves are skipped.

If FILE has changed since it was stamped, its earlier proof is kept as FILE.DATE.ots, such as report.pdf.2026-03-31.ots, and
FILE.ots becomes the proof of what FILE is now. DATE is the day of the earlier proof's block, or the day on which it was written
if it is pending, in UTC. A second one of the same day is FILE.DATE_2.ots. FILE.ots.bak and receipts get the same date. With -o and
--digest, ancre never touches a proof of other content: that is an error.

If a file changes while it is hashed, ancre hashes it once more, then refuses it. To stamp a log, stamp a copy. If FILE.ots is a
symbolic link, ancre follows it only if it belongs to you or to root.

With -r, a directory means all files in it and below, hidden ones too. Symbolic links, named pipes, sockets and devices in there
are left out. A summary at the end counts them, and they are no failure. All processors hash files, and the results come in the
order of the names. You can start an interrupted stamp again: files that have a proof keep it.

With -r, ancre remembers the hash of each file, and does not read a file again whose size, times and inode are the same. It keeps
the hashes in your cache directory (ancre/stamp-…; on Linux below ~/.cache). You can delete them at any time: then all files are
read once more. --rehash reads all files, for changes that leave no trace: on Windows, a change of the content alone whose time was
set back.

"-" is standard input. Its proof goes to standard output, or to the file that -o names.`,
		Example: `  ancre stamp report.pdf
  ancre stamp -r /srv/documents
  tar c photos | ancre stamp -o photos.tar.ots -
  ancre stamp --digest e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`,
		Args: func(cmd *cobra.Command, args []string) error {
			return o.check(args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.stamp(cmd.Context(), args, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.recursive, "recursive", "r", false, "stamp all files in directories, and in those below")
	f.BoolVar(&o.rehash, "rehash", false, "with -r: read all files, also those that look as they did the last time")
	f.StringArrayVarP(&o.digests, "digest", "d", nil, "stamp a SHA-256 itself, in `HEX`; the proof is HEX.ots in this directory")
	f.StringVarP(&o.output, "output", "o", "", "write the proof of a single file to `FILE`; - is standard output")
	a.addQuiet(f)
	f.BoolVarP(&o.wait, "wait", "w", false, "wait until the proofs are complete")
	return cmd
}

func (o *stampOptions) check(args []string) error {
	n := len(args) + len(o.digests)
	switch {
	case n == 0:
		return errors.New("stamp what? Name files, - for standard input, or --digest HEX")
	case o.output != "" && (n > 1 || o.recursive):
		return errors.New("-o names the proof of a single file, and there are several to stamp")
	case countOf(args, "-") > 1:
		return errors.New("standard input can be stamped only once")
	case o.rehash && !o.recursive:
		return errors.New("--rehash goes with -r: files that are named are always read")
	}
	for _, d := range o.digests {
		if _, err := parseDigest(d); err != nil {
			return err
		}
	}
	return nil
}

func countOf(list []string, s string) int {
	n := 0
	for _, e := range list {
		if e == s {
			n++
		}
	}
	return n
}

// stampJob is one file on its way to a proof.
type stampJob struct {
	fileResult          // Result is empty as long as there is something to do
	digest     [32]byte // of the file
	before     *proof.File
	was        []byte      // the content of the file with that proof
	parent     fs.FileInfo // the directory of the proof, when the user named it
	after      []byte      // the proof to write
	changed    bool        // the proof that is there is about what the file was before

	cache   *treeCache          // of the tree, with -r
	known   bool                // the digest is that of the file id
	id      atomicfile.Identity // of the file
	proofID atomicfile.Identity // of the proof beside it, if that is complete and about the file
}

// stamp works in groups of files: hash, submit, write, print. While one group is submitted and
// written, the next files are hashed.
func (a *app) stamp(ctx context.Context, args []string, o stampOptions) error {
	toTerminal := o.output == "-" || o.output == "" && slices.Contains(args, "-")
	if toTerminal && a.outTerm && !a.json {
		return command.Usagef("refusing to write a binary proof to the terminal: name a file with -o, or redirect standard output")
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	s := stamper{app: a, client: client, options: o, caches: make(map[string]*treeCache)}
	whole := false
	defer func() { s.saveCaches(whole) }()
	s.bar = s.progress(args)
	defer s.bar.Finish()
	hashing, stop := context.WithCancel(ctx)
	defer stop()
	prepared := inOrder(hashing, runtime.GOMAXPROCS(0), s.targets(args), s.prepare)
	for group := range gather(prepared, submitSize) {
		if err := s.finishGroup(ctx, group); err != nil {
			stop() // hashing
			return s.interrupted(err)
		}
	}
	s.bar.Finish()
	if err := ctx.Err(); err != nil {
		return s.interrupted(err)
	}
	whole = true
	if len(s.waiting) > 0 {
		s.exit = worse(s.exit, newUpgrader(a, client, nil, nil).completeAll(ctx, s.waiting))
	}
	s.summarize()
	return command.Finish(s.exit)
}

// progress starts a progress bar. It counts the work only if a person is there to see it. Files
// whose hashes are known are no work.
func (s *stamper) progress(args []string) *progress.Bar {
	if !s.errTerm || s.json || s.quiet {
		return nil
	}
	var files, size int64
	for j := range s.fileJobs(args) {
		if j.Result == "" && !j.isUnchanged() {
			files++
			if !j.known {
				size += j.id.Size
			}
		}
	}
	// The trees are walked again.
	for _, c := range s.caches {
		if c != nil {
			c.Rewind()
		}
	}
	// Large files take long to read, many small ones take long to write.
	const large = 1 << 20
	if slices.Contains(args, "-") {
		size = 0 // unknown
	} else if files > 0 && size/files < large {
		return s.startProgress("stamping files", files, false)
	}
	return s.startProgress("hashing", size, true)
}

// stampWalker lists the files that stamp looks at.
func stampWalker(o stampOptions) walker {
	return walker{recursive: o.recursive, want: isOthers, withProofs: o.recursive}
}

// stamper is one run of stamp.
type stamper struct {
	*app
	client  *rpc.Client
	options stampOptions
	bar     *progress.Bar

	caches  map[string]*treeCache // of trees, by their prefixes; nil for one that has none
	exit    int
	counts  tally
	waiting []*waiter // proofs that are to be complete before the command ends
}

// targets are the digests that were named, then the files.
func (s *stamper) targets(args []string) iter.Seq[*stampJob] {
	return func(yield func(*stampJob) bool) {
		for _, text := range s.options.digests {
			digest, _ := parseDigest(text) // was checked
			j := &stampJob{digest: digest}
			j.about(proof.SHA256, digest[:])
			j.ProofFile = s.output(j.Digest)
			if !yield(j) {
				return
			}
		}
		for j := range s.fileJobs(args) {
			if !yield(j) {
				return
			}
		}
	}
}

// output returns where the proof of a file goes.
func (s *stamper) output(file string) string {
	switch {
	case s.options.output != "":
		return s.options.output
	case file == "-":
		return "-"
	}
	return file + proofSuffix
}

// prepare hashes a file and reads the proof that may be beside it.
func (s *stamper) prepare(ctx context.Context, j *stampJob) *stampJob {
	if j.Result != "" {
		return j
	}
	if err := s.prepareFile(ctx, j); err != nil {
		j.fail(err)
	}
	return j
}

func (s *stamper) prepareFile(ctx context.Context, j *stampJob) error {
	var err error
	if j.Digest == "" {
		if j.isUnchanged() {
			return nil
		}
		if !j.known && (j.tree.isProof(j.File) || j.tree.isReceipt(j.File)) {
			j.isProof()
			return nil
		}
		j.ProofFile = s.output(j.File)
		if err := s.hash(ctx, j); err != nil {
			return err
		}
	}
	if j.ProofFile == "-" {
		return nil
	}
	if j.tree == nil {
		if j.parent, err = j.tree.parent(j.ProofFile); err != nil {
			return fmt.Errorf("the proof %s cannot be written: %w", shown(j.ProofFile), plainError(err))
		}
	}
	var id atomicfile.Identity
	j.before, j.was, id, err = j.tree.readProofIdentified(j.ProofFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil && !isThere(j.ProofFile) {
		return fmt.Errorf("the proof %s cannot be written: %w", shown(humanize.Clip(j.ProofFile)), tooLong(j.ProofFile, plainError(err), "name a shorter one with -o"))
	}
	if err != nil {
		return fmt.Errorf("%s is there already and is not a readable proof (%w): move it away, then stamp again", shown(j.ProofFile), plainError(err))
	}
	err = s.compare(ctx, j)
	if err == nil && j.Result == already && j.Complete && j.before.HashOp == proof.SHA256 {
		j.proofID = id
	}
	return err
}

// hash hashes a file, or standard input, unless its hash is known.
func (s *stamper) hash(ctx context.Context, j *stampJob) (err error) {
	sum := j.digest[:]
	switch {
	case j.known:
	case j.File == "-":
		sum, err = hashReader(ctx, s.in, proof.SHA256.Hash(), s.bar.AddBytes)
	default:
		sum, j.id, err = j.tree.hashIdentified(ctx, j.File, proof.SHA256.Hash, s.bar.AddBytes)
	}
	if err != nil {
		return err
	}
	j.digest, j.known = [32]byte(sum), true
	j.about(proof.SHA256, sum)
	return nil
}

// compare decides what to do if there is a proof already.
func (s *stamper) compare(ctx context.Context, j *stampJob) error {
	sum := j.digest[:]
	if op := j.before.HashOp; op != proof.SHA256 {
		// The proof uses another hash. It may be about this file all the same.
		if j.File == "" || j.File == "-" {
			return fmt.Errorf("%s is there already, for %s %x: name another file with -o", shown(j.ProofFile), op, j.before.Digest)
		}
		var err error
		if sum, err = j.tree.hashFile(ctx, j.File, op.Hash, func(int64) {}); err != nil {
			return err
		}
		j.about(op, sum)
	}
	if !bytes.Equal(sum, j.before.Digest) {
		if j.File == "" || j.File == "-" || s.options.output != "" {
			return fmt.Errorf("%s is there already and proves other content, with %s %x: name another file with -o, or move this one away",
				shown(j.ProofFile), j.before.HashOp, j.before.Digest)
		}
		j.changed = true
		j.about(proof.SHA256, j.digest[:])
		return nil
	}
	if j.Complete = j.before.IsComplete(); j.Complete || j.before.HashOp != proof.SHA256 {
		j.Result = already
	}
	return nil
}

// finishGroup submits a group, writes its proofs and prints the results. An error is one that the
// next group would meet too.
func (s *stamper) finishGroup(ctx context.Context, group []*stampJob) error {
	if err := ctx.Err(); err != nil {
		return err // the interrupt may be why something failed
	}
	var todo []*stampJob
	for _, j := range group {
		j.remember()
		if j.Result == "" {
			todo = append(todo, j)
		}
	}
	if err := s.submit(ctx, todo); err != nil {
		// Results that are known are printed. The others have none.
		for _, j := range group {
			if j.Result != "" {
				s.print(j)
			}
		}
		return err
	}
	// Proofs that the daemon sent are written even after an interrupt: that takes no time, and
	// leaves nothing half done.
	for j := range inOrder(context.WithoutCancel(ctx), writers, slices.Values(group), s.write) {
		s.print(j)
	}
	return nil
}

// submit submits the digests and keeps the proofs.
func (s *stamper) submit(ctx context.Context, jobs []*stampJob) error {
	if len(jobs) == 0 {
		return nil
	}
	digests := make([][32]byte, len(jobs))
	for i, j := range jobs {
		digests[i] = j.digest
	}
	entries, err := s.submitDigests(ctx, digests)
	if err != nil {
		return err
	}
	for i, j := range jobs {
		j.at(entries[i])
		if err := s.take(ctx, j, entries[i]); err != nil {
			if isFatal(err) {
				return err
			}
			j.fail(err)
		}
	}
	return nil
}

// submitDigests submits digests, and waits while the daemon takes no more of this user. If they are
// more than the daemon takes at once, it submits them in parts.
func (s *stamper) submitDigests(ctx context.Context, digests [][32]byte) (entries []rpc.Entry, err error) {
	err = patiently(ctx, func() (err error) {
		entries, err = s.client.SubmitBatch(ctx, digests)
		return err
	}, func(wait time.Duration, err error) {
		s.bar.Above(func() {
			s.note("Waiting for %s, until %s: %v.", humanize.Duration(wait), time.Now().Add(wait).Format("15:04:05"), err)
		})
	})
	if half := len(digests) / 2; half > 0 && rpc.HasCode(err, rpc.CodeQuota) {
		first, err := s.submitDigests(ctx, digests[:half])
		if err != nil {
			return nil, err
		}
		second, err := s.submitDigests(ctx, digests[half:])
		return append(first, second...), err
	}
	if err == nil && len(entries) != len(digests) {
		err = fmt.Errorf("the daemon answered with %d entries for %d digests", len(entries), len(digests))
	}
	return entries, err
}

// take keeps the proof that the daemon sent.
func (s *stamper) take(ctx context.Context, j *stampJob, e rpc.Entry) error {
	encoded := e.Proof
	if e.State == verify.StateFinal {
		// The digest was submitted before and is final. The answer to submit always holds a pending
		// proof.
		p, err := s.client.Proof(ctx, j.digest, rpc.FormatOTS)
		if err != nil {
			return callError(err)
		}
		encoded = p.Proof
	}
	f, err := verify.DecodeProof(encoded, j.digest[:])
	if err != nil {
		return err
	}
	j.Complete = f.IsComplete()
	j.after, err = f.Marshal()
	return err
}
