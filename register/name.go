package register

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"ancre/internal/humanize"
	"ancre/internal/printable"

	"golang.org/x/text/unicode/norm"
)

// Limits of texts, in bytes.
const (
	maxFileName = 255
	maxTitle    = 1000
	maxNumber   = 100
)

// cleanFileName returns the name under which a file is kept: the given one in Unicode's composed
// form (NFC), in which macOS does not write it. A person sees no difference. Everything else stays
// as it was given. Format characters, such as right-to-left marks, are kept: whoever shows the name
// shows them inertly.
func cleanFileName(name string) (string, error) {
	shown := printable.Line(printable.Name(humanize.ClipTo(name, maxFileName)))
	const remedy = "rename the file, or give another name with --name"
	switch {
	case !utf8.ValidString(name):
		return "", fmt.Errorf("the file name %s is not UTF-8: %s", shown, remedy)
	case name == "" || name == "." || name == "..":
		return "", fmt.Errorf("the file name %q is not one: %s", name, remedy)
	}
	name = norm.NFC.String(name)
	if len(name) > maxFileName {
		return "", fmt.Errorf("the file name %s… has %d bytes, and %d are allowed: %s", shown, len(name), maxFileName, remedy)
	}
	for _, r := range name {
		switch {
		case r == '/' || r == '\\':
			return "", fmt.Errorf("the file name %s has the separator %q in it: %s", shown, r, remedy)
		case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp):
			return "", fmt.Errorf("the file name %s has the control character %U in it: %s", shown, r, remedy)
		}
	}
	return name, nil
}

// cleanText returns a title or a number as it is kept: on one line, in Unicode's composed form.
func cleanText(what, text string, limit int) (string, error) {
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("the %s %s is not UTF-8", what, printable.Line(printable.Name(text)))
	}
	text = norm.NFC.String(strings.TrimSpace(text))
	if len(text) > limit {
		return "", fmt.Errorf("the %s %q has %d bytes, and %d are allowed: shorten it", what, humanize.Clip(text), len(text), limit)
	}
	for _, r := range text {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) {
			return "", fmt.Errorf("the %s %s has the control character %U in it: leave it out", what, printable.Line(text), r)
		}
	}
	return text, nil
}

// sniffLength is how much of a file http.DetectContentType looks at.
const sniffLength = 512

const unknownType = "application/octet-stream"

// fileType is what the name of a file says that it is.
type fileType struct {
	media string
	magic string // how such a file begins; "": it is text
}

const zipMagic = "PK\x03\x04"

// fileTypes are the types that councils use. The table is ours, because that of the machine differs
// from one to the next.
var fileTypes = map[string]fileType{
	".pdf":  {"application/pdf", "%PDF-"},
	".docx": {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", zipMagic},
	".xlsx": {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", zipMagic},
	".pptx": {"application/vnd.openxmlformats-officedocument.presentationml.presentation", zipMagic},
	".odt":  {"application/vnd.oasis.opendocument.text", zipMagic},
	".ods":  {"application/vnd.oasis.opendocument.spreadsheet", zipMagic},
	".odp":  {"application/vnd.oasis.opendocument.presentation", zipMagic},
	".zip":  {"application/zip", zipMagic},
	".doc":  {"application/msword", "\xd0\xcf\x11\xe0"},
	".xls":  {"application/vnd.ms-excel", "\xd0\xcf\x11\xe0"},
	".msg":  {"application/vnd.ms-outlook", "\xd0\xcf\x11\xe0"},
	".png":  {"image/png", "\x89PNG"},
	".jpg":  {"image/jpeg", "\xff\xd8\xff"},
	".jpeg": {"image/jpeg", "\xff\xd8\xff"},
	".tif":  {"image/tiff", ""},
	".tiff": {"image/tiff", ""},
	".txt":  {"text/plain", ""},
	".csv":  {"text/csv", ""},
	".md":   {"text/markdown", ""},
	".json": {"application/json", ""},
	".xml":  {"application/xml", ""},
	".html": {"text/html", ""},
	".htm":  {"text/html", ""},
	".eml":  {"message/rfc822", ""},
	".rtf":  {"application/rtf", "{\\rtf"},
}

// mediaType returns what a file is, by its name if its beginning agrees, otherwise by its
// beginning. It is for people and for open data. No browser is told to show a file as what it
// claims to be.
func mediaType(name string, begins []byte) string {
	sniffed, _, _ := strings.Cut(http.DetectContentType(begins), ";")
	known, ok := fileTypes[strings.ToLower(path.Ext(name))]
	switch {
	case !ok:
		return sniffed
	case known.magic == "" && strings.HasPrefix(known.media, "image/"):
		return known.media
	case known.magic == "" && sniffed != unknownType && isText(begins):
		return known.media
	case known.magic != "" && bytes.HasPrefix(begins, []byte(known.magic)):
		return known.media
	}
	return sniffed
}

// isText reports whether the beginning of a file may be text.
func isText(begins []byte) bool { return !bytes.ContainsRune(begins, 0) }

// peek returns the beginning of what r reads, and a reader that reads all of it.
func peek(r *bufio.Reader) ([]byte, error) {
	begins, err := r.Peek(sniffLength)
	if len(begins) > 0 {
		return begins, nil // a later read meets the error again, if it is one
	}
	return nil, err
}
