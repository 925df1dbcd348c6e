package main

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ancre/internal/atomicfile"
	"ancre/internal/hashcache"
	"ancre/proof"
)

// stamp -r looks only at what has changed: it remembers the hashes of a tree's files in the user's
// cache directory. There, unlike in the tree itself, nobody else can write, the tree may belong to
// several users and machines, and a web server that publishes the tree does not publish the names
// and hashes of its files.

// treeCache is what is known of the files in a tree.
type treeCache struct {
	*hashcache.Cache
	tree *tree
}

// openCache opens the cache of a tree. It returns nil if there is no place for one.
func (s *stamper) openCache(t *tree) *treeCache {
	root, path, err := cachePath(t.top.Path())
	if err != nil {
		s.note("Each file will be read again next time: there is no cache directory for this user: %v.", err)
		return nil
	}
	cache, err := hashcache.Open(path, root, treeTime(t))
	if err != nil {
		s.complain("warning: all files are read again, because the cache %s cannot be used: %v", shown(path), plainError(err))
	}
	return &treeCache{cache, t}
}

// treeTime is the time by the clock of a tree's file system. Only tests set it.
var treeTime = func(t *tree) time.Time { return t.top.Now() }

// cachePath returns the true path of a tree, and where its cache is.
func cachePath(tree string) (root, path string, err error) {
	if root, err = filepath.Abs(tree); err != nil {
		return "", "", err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", "", err
	}
	dir, _, _ := strings.Cut(os.Getenv("CACHE_DIRECTORY"), ":") // a service has its own
	if dir == "" {
		if dir, err = os.UserCacheDir(); err != nil {
			return "", "", err
		}
	}
	key := sha256.Sum256([]byte(root))
	return root, filepath.Join(dir, "ancre", "stamp-"+hex.EncodeToString(key[:10])), nil
}

// saveCaches writes what is known now. whole says that the run came to the end.
func (s *stamper) saveCaches(whole bool) {
	for _, c := range s.caches {
		if c == nil {
			continue
		}
		if err := c.Save(whole); err != nil {
			s.complain("warning: the cache of %s cannot be written, so all files will be read again next time: %v", shown(c.tree.top.Path()), err)
		}
	}
}

// split returns the directory of a file in the tree, and the file's name there.
func (c *treeCache) split(path string) (dir, name string) {
	rest := strings.TrimPrefix(path, c.tree.prefix)
	i := strings.LastIndexByte(rest, os.PathSeparator) + 1
	return rest[:i], rest[i:]
}

// fileJobs yields a job for each file, with what is known of it.
func (s *stamper) fileJobs(args []string) iter.Seq[*stampJob] {
	return func(yield func(*stampJob) bool) {
		proofs := make(map[string]bool) // that their files' entries know, and that are still to come
		for t := range stampWalker(s.options).files(args) {
			j := &stampJob{}
			j.File, j.tree = t.path, t.tree
			switch {
			case t.left != "":
				j.leaveOut(t)
			case t.err != nil:
				j.fail(t.err)
			case t.info != nil:
				j.id = atomicfile.Identify(t.info)
				s.look(j, t, proofs)
			}
			if !yield(j) {
				return
			}
		}
	}
}

// look finds what is known of a file in a tree.
func (s *stamper) look(j *stampJob, t target, proofs map[string]bool) {
	if t.tree == nil {
		return
	}
	cache, opened := s.caches[t.tree.prefix]
	if !opened {
		cache = s.openCache(t.tree)
		s.caches[t.tree.prefix] = cache
	}
	if cache == nil {
		return
	}
	j.cache = cache
	if proofs[t.path] {
		delete(proofs, t.path)
		j.cache = nil // its file's entry knows it
		j.isProof()
		return
	}
	if s.options.rehash {
		return
	}
	dir, name := cache.split(t.path)
	e, ok := cache.Find(dir, name, j.id)
	switch {
	case !ok:
	case e.IsProof:
		j.isProof()
	default:
		j.known, j.digest = true, e.Digest
		if t.proof != nil && t.proof.Mode().IsRegular() && e.Proof == atomicfile.Identify(t.proof) {
			j.proofID = e.Proof
			proofs[t.path+proofSuffix] = true
		}
	}
}

// isProof says that a file needs no proof.
func (j *stampJob) isProof() {
	j.Result, j.Reason, j.left = skipped, "is a proof itself", leftProofs
}

// isUnchanged reports whether file and proof are those that are known, and fills in the result.
func (j *stampJob) isUnchanged() bool {
	if !j.known || j.proofID == (atomicfile.Identity{}) {
		return false
	}
	j.about(proof.SHA256, j.digest[:])
	j.ProofFile, j.Complete, j.Result = j.File+proofSuffix, true, already
	return true
}

// remember keeps what a job found out, for the next run. It says nothing of a proof that is written
// now: the next run reads it.
func (j *stampJob) remember() {
	if j.cache == nil || j.left != "" && j.left != leftProofs || j.left == "" && !j.known {
		return
	}
	dir, name := j.cache.split(j.File)
	j.cache.Add(dir, hashcache.Entry{Name: name, File: j.id, Digest: j.digest, IsProof: j.left != "", Proof: j.proofID})
}
