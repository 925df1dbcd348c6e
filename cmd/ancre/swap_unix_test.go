//go:build unix

package main

import (
	"context"
	"crypto/sha256"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"ancre/proof"
)

// mallory is a user who may write in a directory in which root works.
const mallory = 65534

// withText is a proof that says nothing false, and holds a line of text.
func (r *rig) withText(content, text string) []byte {
	r.t.Helper()
	digest := sha256.Sum256([]byte(content))
	f := &proof.File{HashOp: proof.SHA256, Digest: digest[:], Timestamp: &proof.Timestamp{Msg: digest[:],
		Attestations: []proof.Attestation{{Tag: [8]byte{1}, Payload: []byte("\n" + text + "\n")}}}}
	data, err := f.Marshal()
	r.must(err)
	return data
}

func (r *rig) mallorys(paths ...string) {
	r.t.Helper()
	if os.Geteuid() != 0 {
		r.t.Skip("only root can make files for somebody else")
	}
	for _, path := range paths {
		r.must(os.Lchown(path, mallory, mallory))
	}
}

// Root stamps a directory in which somebody else may write: while the digests are handed in, a
// proof becomes a link to a file of root's that would make a good target, for it even holds the
// same.
func TestAProofThatBecomesALinkIsNotReplaced(t *testing.T) {
	for _, target := range []string{"a proof", "no proof"} {
		r := newRig(t)
		file := r.write("dir/a", "content")
		own := r.withText("content", "mallory::0:0::/:/bin/sh")
		r.must(os.WriteFile(file+proofSuffix, own, 0o644))
		r.mallorys(r.path("dir"), file, file+proofSuffix)
		victim := r.write("victim", "root:x:0:0::/root:/bin/sh\n")
		if target == "a proof" {
			r.must(os.WriteFile(victim, own, 0o644))
		}
		before := r.read(victim)
		r.daemon.onSubmit = func(context.Context) {
			r.must(os.Remove(file + proofSuffix))
			r.must(os.Symlink(victim, file+proofSuffix))
			r.mallorys(file + proofSuffix)
		}
		r.ancre("stamp", "-r", r.path("dir")).is(t, exitFailed, "belongs to another user")
		r.ancre("stamp", file).is(t, exitFailed)
		if got := r.read(victim); string(got) != string(before) {
			t.Errorf("root's file holds %q", got)
		}
	}
}

// The same of a link that was there from the beginning, and for the other verbs that write.
func TestLinksOfOthersInPlaceOfProofs(t *testing.T) {
	r := newRig(t)
	file := r.write("dir/a", "content")
	victim := r.write("victim.ots", "")
	r.ancre("stamp", "-o", r.path("new.ots"), file).is(t, exitDone)
	r.must(os.Rename(r.path("new.ots"), victim))
	before := r.read(victim)
	r.must(os.Symlink(victim, file+proofSuffix))
	r.mallorys(file + proofSuffix)
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitFailed, "belongs to another user")
	r.ancre("stamp", file).is(t, exitFailed, "belongs to another user")
	if got := r.read(victim); string(got) != string(before) || exists(file+proofSuffix+backupSuffix) || exists(victim+backupSuffix) {
		t.Errorf("root's file holds %q", got)
	}
	r.ancre("verify", file).is(t, exitDone) // reading harms nobody

	for verb, args := range map[string][]string{"backup": {"backup", "--force"}, "headers export": {"headers", "export", "--force"}} {
		kept := r.write("kept", "root's")
		link := r.path("dir/link")
		os.Remove(link)
		r.must(os.Symlink(kept, link))
		r.mallorys(link)
		r.ancre(append(args, link)...).is(t, exitFailed, "belongs to another user")
		if got := r.read(kept); string(got) != "root's" {
			t.Errorf("%s: root's file holds %q", verb, got)
		}
	}
}

// A person may keep proofs elsewhere, and have links to them beside the files.
func TestOwnLinksInPlaceOfProofsAreFollowed(t *testing.T) {
	r := newRig(t)
	file := r.write("dir/a", "content")
	kept := r.write("proofs/a.ots", "")
	r.must(os.WriteFile(kept, r.withText("content", "text"), 0o640))
	r.must(os.Chmod(kept, 0o640))
	r.must(os.Symlink("../proofs/a.ots", file+proofSuffix))
	r.ancre("stamp", "-r", r.path("dir")).is(t, exitDone, "stamped (pending")
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitDone)
	if !r.proof(kept).IsComplete() {
		t.Error("the proof behind the link is pending")
	}
	if info, err := os.Lstat(file + proofSuffix); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is gone: %v", err)
	}
	if info, err := os.Stat(kept); err != nil || info.Mode() != 0o640 {
		t.Errorf("the mode is %v", info.Mode())
	}
}

// A directory is walked in, or was named, and becomes a link elsewhere before the proofs are
// written.
func TestADirectoryThatBecomesALinkIsNotWrittenTo(t *testing.T) {
	for _, args := range [][]string{{"-r", "dir"}, {"-r", "dir/sub"}, {"dir/sub/a"}} {
		r := newRig(t)
		r.write("dir/sub/a", "content")
		elsewhere := r.write("elsewhere/a", "content")
		sub := r.path("dir/sub")
		r.daemon.onSubmit = func(context.Context) {
			r.must(os.Rename(sub, sub+".moved"))
			r.must(os.Symlink(filepath.Dir(elsewhere), sub))
		}
		call := append([]string{"stamp"}, args...)
		call[len(call)-1] = r.path(args[len(args)-1])
		a := r.ancre(call...)
		if exists(elsewhere + proofSuffix) {
			t.Errorf("%v: a proof was written elsewhere", args)
		}
		// The directory that was named is still open, wherever it is.
		if written := exists(sub + ".moved/a.ots"); written != (args[len(args)-1] == "dir/sub") || written != (a.exit == exitDone) {
			t.Errorf("%v: written: %t, exit status %d\n%s", args, written, a.exit, a.err)
		}
	}
}

func TestUpgradeKeepsOwnerGroupAndMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o022))
	r := newRig(t)
	file := r.write("a", "content")
	ots := file + proofSuffix
	r.ancre("stamp", file).is(t, exitDone)
	r.must(os.Chmod(ots, 0o660))
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = mallory, 12345
		r.must(os.Chown(ots, uid, gid))
	}
	r.daemon.mine()
	r.ancre("upgrade", file).is(t, exitDone)
	for _, path := range []string{ots, ots + backupSuffix} {
		info, err := os.Stat(path)
		r.must(err)
		if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != uid || int(st.Gid) != gid || info.Mode() != 0o660 {
			t.Errorf("%s: user %d, group %d, mode %v; want %d, %d, 0660", filepath.Base(path), st.Uid, st.Gid, info.Mode(), uid, gid)
		}
	}
}

// While a calendar is asked, the proof becomes another file.
func TestUpgradeReplacesNoOtherFile(t *testing.T) {
	r, c := newRig(t), newFakeCalendar(t)
	file, commitments := r.promised("a", c.URL)
	answer := r.anchored(commitments[0])
	victim := r.write("victim", string(r.read(file+proofSuffix)))
	c.does(func(w http.ResponseWriter, _ *http.Request) {
		r.must(os.Remove(file + proofSuffix))
		r.must(os.Symlink(victim, file+proofSuffix))
		r.mallorys(file + proofSuffix)
		w.Write(answer)
	})
	before := r.read(victim)
	r.ancre("upgrade", "--calendar", c.URL, file).is(t, exitFailed, "belongs to another user")
	if got := r.read(victim); string(got) != string(before) || exists(file+proofSuffix+backupSuffix) {
		t.Errorf("root's file holds %q", got)
	}
}
