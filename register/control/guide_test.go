package control

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// A script author reads no source: docs/register.md names each member of each JSON document.
func TestTheGuideNamesEveryMember(t *testing.T) {
	text, err := os.ReadFile("../../docs/register.md")
	if err != nil {
		t.Fatal(err)
	}
	_, guide, ok := strings.Cut(string(text), "\n## For scripts\n")
	if !ok {
		t.Fatal("the guide has no chapter for scripts")
	}
	named := make(map[string]bool)
	for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(guide, -1) {
		named[m[1]] = true
	}
	seen := 0
	var look func(reflect.Type)
	look = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of.PkgPath() == "time" {
			return
		}
		for i := range of.NumField() {
			f := of.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" {
				seen++
				if !named[name] {
					t.Errorf("docs/register.md does not name %q of %s", name, of)
				}
			}
			look(f.Type)
		}
	}
	for _, v := range []any{AddedMeeting{}, Meetings{}, MeetingStatus{}, Documents{}, AddedDocument{}, Selected{}, Status{}, Error{}} {
		look(reflect.TypeOf(v))
	}
	if seen < 80 {
		t.Errorf("only %d members were looked for", seen)
	}
}
