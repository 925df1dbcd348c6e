package manpage

import (
	"strings"
	"testing"
	"time"
)

var edition = Edition{Version: "ancre 0.2.0", Date: time.Date(2026, 1, 2, 23, 0, 0, 0, time.UTC)}

func TestBodyKnowsParagraphsListsAndLinesThatStay(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"paragraphs":              {"One\ntwo.\n\nThree.\n", ".PP\nOne\ntwo.\n.PP\nThree.\n"},
		"a list after its head":   {"These:\n  a    first\n       more\n  bc   second\nThat was it.", ".PP\nThese:\n.TP\n\\fBa\\fR\nfirst\nmore\n.TP\n\\fBbc\\fR\nsecond\n.PP\nThat was it.\n"},
		"lines that stay":         {"Type:\n    ancre stamp x\n    ancre status", ".PP\nType:\n.PP\n.RS 4\n.nf\n    ancre stamp x\n    ancre status\n.fi\n.RE\n"},
		"what roff would read":    {".PP is\n'no' \\fBmacro, --spv", ".PP\n\\&.PP is\n\\&\\(aqno\\(aq \\efBmacro, \\-\\-spv\n"},
		"a term with two words":   {"  --headers FILE  offline", ".TP\n\\fB\\-\\-headers FILE\\fR\noffline\n"},
		"an indented long remark": {"  one sentence only", ".PP\n.RS 4\n.nf\n  one sentence only\n.fi\n.RE\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := new(page)
			p.body(c.text)
			if got := p.text.String(); got != c.want {
				t.Errorf("body wrote\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestAPageBeginsWithWhatWhatisReads(t *testing.T) {
	p := newPage("ancre-stamp", 1, "submit hashes", edition).done()
	want := ".TH \"ANCRE-STAMP\" \"1\" \"2026-01-02\" \"ancre 0.2.0\" \"Ancre\"\n.nh\n.ad l\n.SH NAME\nancre\\-stamp \\- submit hashes\n"
	if string(p.Text) != want || p.File() != "ancre-stamp.1" {
		t.Errorf("%s is\n%s\nwant\n%s", p.File(), p.Text, want)
	}
}

func TestDaemonHasASectionForEachVerbWithAHelp(t *testing.T) {
	p := Daemon("ancred", "anchors", func(args ...string) string {
		return map[string]string{
			"--help":       "ancred anchors.\n\nUsage: ancred [--config FILE]\n       ancred check [--json]\n       ancred version\n\n  --config FILE   the file\n",
			"check --help": "ancred check looks.\n\nUsage: ancred check [--json]\n\n  --json   as JSON\n",
		}[strings.Join(args, " ")]
	}, edition)
	for _, want := range []string{
		".SH \"SYNOPSIS\"\n.PP\n\\fBancred\\fR [\\-\\-config FILE]\n.PP\n\\fBancred\\fR check [\\-\\-json]\n.PP\n\\fBancred\\fR version\n",
		".SH \"DESCRIPTION\"\n.PP\nancred anchors.\n.TP\n\\fB\\-\\-config FILE\\fR\nthe file\n",
		".SH \"THE VERB CHECK\"\n.PP\n\\fBancred\\fR check [\\-\\-json]\n.PP\nancred check looks.\n.TP\n\\fB\\-\\-json\\fR\nas JSON\n",
	} {
		if !strings.Contains(string(p.Text), want) {
			t.Errorf("the page lacks\n%s\nit is\n%s", want, p.Text)
		}
	}
	if strings.Contains(string(p.Text), "VERB VERSION") {
		t.Error("a verb without help has a section")
	}
}

func TestConfigurationHasEachTableAndKey(t *testing.T) {
	p := Configuration("ancre.conf", "configuration", "# What this is.\n\n# Where.\n#datadir = \"~/.ancre\"\n\n\n[spv]\n\n# Which\n# nodes.\n#connect = []\n", edition)
	want := ".SH \"DESCRIPTION\"\n.PP\nWhat this is.\n.SH \"KEYS OUTSIDE OF A TABLE\"\n.TP\n\\fBdatadir = \\(dq\\(ti/.ancre\\(dq\\fR\nWhere.\n" +
		".SH \"[spv]\"\n.TP\n\\fBconnect = []\\fR\nWhich\nnodes.\n.SH \"SEE ALSO\"\n"
	if !strings.Contains(string(p.Text), want) {
		t.Errorf("the page is\n%s\nwant\n%s", p.Text, want)
	}
}
