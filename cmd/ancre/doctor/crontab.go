package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ancre/internal/atomicfile"
)

const (
	// cronPath is the PATH of a job whose crontab sets none: Debian's cron, cronie and Vixie's.
	cronPath = "/usr/bin:/bin"

	// maxCrontab is far more than a crontab has.
	maxCrontab = 1 << 20
)

// parseCrontab returns the jobs of a crontab that call ancre or ancred. system says that the file
// has a column with the user. Commands are not kept: they may hold passwords.
func parseCrontab(file, text, user string, system bool) (jobs []Job) {
	search, number := cronPath, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if name, value, ok := cronVariable(line); ok {
			if name == "PATH" {
				search = value
			}
			continue
		}
		who, command := cronCommand(line, system)
		if who == "" {
			who = user
		}
		for _, program := range calls(command) {
			jobs = append(jobs, Job{File: file, Line: number, User: who, Program: program, Path: search})
		}
	}
	return jobs
}

// cronVariable splits a line NAME=VALUE. A line that begins with a time is none.
func cronVariable(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, "=")
	name = strings.Trim(strings.TrimSpace(name), `"'`)
	if !ok || name == "" || strings.ContainsAny(name, " \t*/,@") {
		return "", "", false
	}
	return name, strings.Trim(strings.TrimSpace(value), `"'`), true
}

// cronCommand cuts the time from a line, and the user if the file has that column.
func cronCommand(line string, system bool) (user, command string) {
	fields := 5
	if strings.HasPrefix(line, "@") {
		fields = 1 // @daily
	}
	for range fields {
		_, line = cutField(line)
	}
	if system {
		user, line = cutField(line)
	}
	// What follows the first % that has no backslash before it is the command's input.
	for i := range len(line) {
		if line[i] == '%' && (i == 0 || line[i-1] != '\\') {
			return user, line[:i]
		}
	}
	return user, line
}

func cutField(line string) (field, rest string) {
	line = strings.TrimLeft(line, " \t")
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], strings.TrimLeft(line[i:], " \t")
	}
	return line, ""
}

// wrappers run another program that stands later in the same command.
var wrappers = []string{"sudo", "nice", "ionice", "chronic", "timeout", "flock", "env", "exec", "time", "nohup", "setsid", "systemd-cat", "runuser", "chrt", "command"}

// calls returns the words by which a line of shell calls ancre or ancred.
func calls(command string) (programs []string) {
	separators := strings.NewReplacer("&&", "\n", "||", "\n", ";", "\n", "|", "\n", "&", "\n", "$(", "\n", "(", "\n", ")", "\n", "`", "\n", "{", "\n", "}", "\n", "!", "\n")
	for part := range strings.Lines(separators.Replace(command)) {
		wrapped := false
		for _, word := range strings.Fields(part) {
			word = strings.Trim(word, `"'`)
			name := path.Base(word)
			if name == "ancre" || name == "ancred" {
				programs = append(programs, word)
				break
			}
			switch {
			case slices.Contains(wrappers, name):
				wrapped = true
			case slices.Contains([]string{"if", "then", "else", "elif", "do", "while", "until"}, word), strings.Contains(word, "="), wrapped:
			default:
				word = "" // another program, and what follows are its arguments
			}
			if word == "" {
				break
			}
		}
	}
	return programs
}

// cron reads the crontabs that this user may read.
func (g *gatherer) cron(ctx context.Context) {
	var jobs []Job
	var hidden []string
	read := func(file, user string, system bool) {
		text, err := atomicfile.ReadInput(file, maxCrontab)
		switch {
		case err == nil:
			jobs = append(jobs, parseCrontab(file, string(text), user, system)...)
		case !errors.Is(err, fs.ErrNotExist):
			hidden = append(hidden, file)
		}
	}
	read("/etc/crontab", "", true)
	for _, file := range filesIn("/etc/cron.d") {
		read(file, "", true)
	}
	spools := []string{"/var/spool/cron/crontabs", "/var/spool/cron", "/var/cron/tabs"} // Debian, cronie, BSD
	readable := false
	for _, dir := range spools {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !e.IsDir() {
				readable = true
				read(filepath.Join(dir, e.Name()), e.Name(), false)
			}
		}
	}
	if !readable && os.Geteuid() != 0 {
		if out, _, err := run(ctx, "crontab", "-l"); err == nil {
			jobs = append(jobs, parseCrontab("your crontab (crontab -e)", out, "", false)...)
		}
		if exists(spools[0]) || exists(spools[1]) {
			hidden = append(hidden, "the crontabs of other users")
		}
	}
	for i := range jobs {
		jobs[i].Found = finds(jobs[i].Program, jobs[i].Path)
	}
	g.put(func(f *Facts) { f.Jobs, f.Hidden = Known(jobs), hidden })
}

// finds reports whether a shell with this PATH finds a program.
func finds(program, search string) bool {
	if strings.Contains(program, "/") {
		// $HOME/bin/ancre is found or not by a shell that is not here.
		return strings.ContainsAny(program, "$~") || !path.IsAbs(program) || isProgram(program)
	}
	if strings.Contains(search, "$") {
		return true // cron does not expand it, but some do
	}
	return slices.ContainsFunc(filepath.SplitList(search), func(dir string) bool { return isProgram(filepath.Join(dir, program)) })
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func filesIn(dir string) (files []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}
