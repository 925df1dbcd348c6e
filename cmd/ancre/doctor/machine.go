package doctor

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"ancre/internal/datadir"
	"ancre/internal/humanize"
)

const (
	// fewInodes is how many files there should be room for. The store makes some hundred.
	fewInodes = 2000

	// manyLines is how many lines of log an hour hide those that matter. A daemon that has nothing
	// to complain of writes less than one a minute.
	manyLines = 1000
)

// disk says how much room the data directory has.
func disk(f *Facts) []Result {
	all := f.said("disk")
	d, ok := f.Disk.Get()
	switch {
	case !ok && len(all) > 0:
	case !ok:
		all = append(all, missing(f, f.Disk, "the disk under the data directory"))
	case len(all) == 0 && d.FreeBytes < datadir.Reserve:
		all = append(all, fail("free disk space, or move the data directory to a larger disk", "%s are free under %s, and ancred accepts no digests with less than %s",
			humanize.Bytes(int64(d.FreeBytes)), d.Path, humanize.Bytes(datadir.Reserve)))
	case len(all) == 0 && d.FreeBytes < datadir.LowSpace:
		all = append(all, warn("free disk space, or move the data directory to a larger disk", "%s are free under %s, and ancred accepts no digests with less than %s",
			humanize.Bytes(int64(d.FreeBytes)), d.Path, humanize.Bytes(datadir.Reserve)))
	}
	if ok && d.Inodes > 0 && d.FreeInodes < fewInodes {
		all = append(all, fail("remove files: df -i "+d.Path+" shows how many there are", "the file system of %s has room for only %s more files (inodes)", d.Path, humanize.Count(d.FreeInodes)))
	}
	if len(all) > 0 {
		return all
	}
	return one(fine("%s are free under %s", humanize.Bytes(int64(d.FreeBytes)), d.Path))
}

// cron says whether cron finds the programs that its jobs call.
func cron(f *Facts) []Result {
	jobs, ok := f.Jobs.Get()
	if !ok {
		return one(missing(f, f.Jobs, "the jobs of cron"))
	}
	var all []Result
	for _, j := range jobs {
		where := fmt.Sprintf("%s, line %d", j.File, j.Line)
		switch {
		case j.Found:
		case strings.Contains(j.Program, "/"):
			all = append(all, fail("correct the path in that line; \"command -v "+path.Base(j.Program)+"\" prints it", "the job in %s calls %s, which does not exist", where, j.Program))
		default:
			all = append(all, fail("add this line at the top of that file: PATH=/usr/local/bin:/usr/bin:/bin", "the job in %s calls %s, and cron looks for it only in %s", where, j.Program, j.Path))
		}
	}
	if len(all) == 0 {
		text := "no job calls ancre"
		if len(jobs) > 0 {
			text = fmt.Sprintf("cron finds the programs of the %s that call ancre", humanize.Plural(len(jobs), "job", "jobs"))
			if len(jobs) == 1 {
				text = "cron finds the program of the one job that calls ancre"
			}
		}
		if len(f.Hidden) > 0 {
			text += ", as far as you may see"
		}
		all = append(all, fine("%s", text))
	}
	if hidden := slices.Compact(slices.Sorted(slices.Values(f.Hidden))); len(hidden) > 0 {
		all = append(all, missing(f, Denied[[]Job](), join(hidden)))
	}
	return all
}

// logRate says whether the log can still be read by a person.
func logRate(f *Facts) []Result {
	lines, ok := f.Log.Get()
	debug := f.Settings.value.Debug
	switch {
	case !ok && debug:
		return one(warn("set log.level = \"info\" and restart ancred", "log.level is debug, which hides what matters"))
	case !ok:
		return one(missing(f, f.Log, "the log"))
	case debug:
		return one(warn("set log.level = \"info\" and restart ancred", "log.level is debug: ancred wrote %s in the last hour", humanize.Plural(lines, "line", "lines")))
	case lines > manyLines:
		return one(warn(f.Me.asRoot("journalctl -u "+f.Service.value.Unit+" -n 50"), "ancred wrote more than %s lines in the last hour, which hide what matters", humanize.Count(manyLines)))
	}
	return one(fine("ancred wrote %s in the last hour", humanize.Plural(lines, "line", "lines")))
}
