package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestJobsOfACrontabThatCallAncre(t *testing.T) {
	const crontab = `# a comment: ancre
SHELL=/bin/sh
17 * * * *  root  ancre backup /var/backups/ancre.backup && scp -q /var/backups/ancre.backup elsewhere:
PATH=/usr/local/bin:/usr/bin:/bin
@daily  clerk  ANCRE_RPC_PASSWORD=hunter2 ancre stamp -q -r /srv/mail
0 1 * * *  clerk  cd /srv && /opt/ancre/bin/ancre upgrade -r .
0 2 * * *  clerk  mail -s ancre clerk < /dev/null; echo "ancre" | tee ancre.log
0 3 * * 1-5  clerk  nice -n 10 sudo -u x timeout 60 ancre status % ancre
0 4 * * *  clerk  if true; then $(ancred check --quiet); fi
0 5 * * *  clerk  /usr/local/bin/stamp-mails
`
	var got []string
	for _, j := range parseCrontab("f", crontab, "", true) {
		got = append(got, fmt.Sprintf("%d %s %s %s", j.Line, j.User, j.Program, j.Path))
	}
	const set = "/usr/local/bin:/usr/bin:/bin"
	want := []string{
		"3 root ancre /usr/bin:/bin",
		"5 clerk ancre " + set,
		"6 clerk /opt/ancre/bin/ancre " + set,
		"8 clerk ancre " + set,
		"9 clerk ancred " + set,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	own := parseCrontab("f", "5 4 * * * ancre upgrade -r .", "clerk", false)
	if len(own) != 1 || own[0].User != "clerk" || own[0].Program != "ancre" {
		t.Errorf("a user's own crontab: %+v", own)
	}
}

func FuzzCrontab(f *testing.F) {
	f.Add("@daily ancre % x\nPATH=\n1 2 3")
	f.Fuzz(func(t *testing.T, text string) {
		for _, j := range parseCrontab("f", text, "u", true) {
			if !strings.Contains(j.Program, "ancre") {
				t.Errorf("%+v", j)
			}
		}
	})
}

func TestWhichProgramsAShellFinds(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "ancre")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ancred"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		program, path string
		want          bool
	}{
		{"ancre", "/nowhere:" + dir, true}, {"ancre", "/nowhere", false}, {"ancred", dir, false}, {"ancre", "$HOME/bin", true},
		{program, "", true}, {program + "x", "", false}, {"~/bin/ancre", "", true}, {"./ancre", "", true},
	} {
		if got := finds(tt.program, tt.path); got != tt.want {
			t.Errorf("%s with PATH=%s is found: %t", tt.program, tt.path, got)
		}
	}
}
