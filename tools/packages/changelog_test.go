package main

import (
	"strings"
	"testing"
	"time"
)

func TestTheChangelogIsDebians(t *testing.T) {
	markdown := "# Changelog\n\nWords.\n\n## [0.2.0] - unreleased\n\n### Upgrading\n\nStop it,\nstart it.\n\n- `a` is *b*.\n\n### Fixed\n\n- " +
		strings.Repeat("word ", 20) + "\n  end.\n\n## [0.1.0] - 2026-11-22\n\nThe first.\n"
	got, err := debianChangelog(markdown, "0.2.0~1", time.Date(2026, 12, 1, 10, 20, 30, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	want := `ancre (0.2.0~1) stable; urgency=medium

  [ Upgrading ]
  * Stop it, start it.
  * a is b.

  [ Fixed ]
  * word word word word word word word word word word word word word word word
    word word word word word end.

 -- MAINTAINER  Tue, 01 Dec 2026 10:20:30 +0000

ancre (0.1.0) stable; urgency=medium

  * The first.

 -- MAINTAINER  Sun, 22 Nov 2026 00:00:00 +0000
`
	if want = strings.ReplaceAll(want, "MAINTAINER", maintainer); got != want {
		t.Errorf("the changelog is\n%s\nwant\n%s", got, want)
	}
	if _, err := debianChangelog("nothing", "1", time.Now()); err == nil {
		t.Error("a changelog without a version was accepted")
	}
}
