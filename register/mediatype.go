package register

import (
	"bufio"
	"bytes"
	"net/http"
	"path"
	"strings"
)

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
