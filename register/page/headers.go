package page

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// policy is the Content-Security-Policy of all answers but the frame: everything comes from here,
// no script or style stands in a page, and no page stands in a frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "

// header is headers that are written for each answer of an address.
type header []field

type field struct {
	name   string
	values []string
}

// secureFields are in every answer.
var secureFields = header{
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"Referrer-Policy", []string{"no-referrer"}}, // digests stand in addresses
	{"Cross-Origin-Opener-Policy", []string{"same-origin"}},
	{"Permissions-Policy", []string{"camera=(), geolocation=(), microphone=(), payment=(), usb=()"}},
}

var pagePolicy = []string{policy + "'none'"}

// secure writes the headers that every answer has.
func (p *Page) secure(h http.Header) {
	h["Content-Security-Policy"] = pagePolicy
	h["Cross-Origin-Resource-Policy"] = []string{"same-origin"}
	for _, f := range secureFields {
		h[f.name] = f.values
	}
}

// finish compresses an answer and prepares its headers.
func (k *kept) finish(p *Page) {
	if k.zipped == nil && k.answer.Stream == nil && zippable(k.answer.Type) {
		k.zipped = zip(k.answer.Body)
	}
	for i := range k.head {
		for name, values := range k.headers(p, i == 1) {
			k.head[i] = append(k.head[i], field{name, values})
		}
	}
}

// headers returns the headers of an answer.
func (k *kept) headers(p *Page, zipped bool) http.Header {
	a := &k.answer
	h := http.Header{}
	p.secure(h)
	if a.Policy != "" {
		h.Set("Content-Security-Policy", a.Policy)
	}
	if a.AnyOrigin {
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	if a.Type != "" {
		h.Set("Content-Type", a.Type)
	}
	h.Set("Cache-Control", cacheControl(a.MaxAge, a.Forever))
	if a.Location != "" {
		h.Set("Location", a.Location)
	}
	if a.Name != "" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.Name}))
	}
	if a.ETag != "" {
		h.Set("ETag", a.ETag)
	}
	size := len(a.Body)
	if k.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if a.Body == nil {
			size = -1 // it is not known without gzip
		}
	}
	if k.kind == Embed { // its language may be the visitor's
		h.Add("Vary", "Accept-Language")
	}
	if zipped {
		size = len(k.zipped)
		h.Set("Content-Encoding", "gzip")
		if a.ETag != "" {
			h.Set("ETag", strings.TrimSuffix(a.ETag, `"`)+`-gz"`)
		}
	}
	if size >= 0 {
		h.Set("Content-Length", strconv.Itoa(size))
	}
	return h
}

// cacheControl says how long caches may keep an answer.
func cacheControl(age time.Duration, forever bool) string {
	switch {
	case forever:
		return "public, max-age=31536000, immutable"
	case age <= 0:
		return "no-store"
	}
	return "public, max-age=" + strconv.Itoa(int(age/time.Second))
}

// acceptsGzip reads Accept-Encoding.
func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		coding, weight, _ := strings.Cut(part, ";")
		if c := strings.TrimSpace(coding); c != "gzip" && c != "*" {
			continue
		}
		weight = strings.ReplaceAll(weight, " ", "")
		return weight == "" || strings.Trim(strings.TrimPrefix(weight, "q="), "0.") != ""
	}
	return false
}

// matches reports whether If-None-Match has an ETag, of the answer with or without gzip.
func matches(list, etag string) bool {
	if list == "" {
		return false
	}
	bare := strings.Trim(etag, `"`)
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == "*" || strings.TrimSuffix(strings.Trim(one, `"`), "-gz") == bare {
			return true
		}
	}
	return false
}

// preferred returns the language that a visitor prefers.
func (p *Page) preferred(r *http.Request) Lang {
	best, weight := p.lang, 0.0
	accept := r.Header.Get("Accept-Language")
	if len(accept) > 1000 {
		return best
	}
	for part := range strings.SplitSeq(accept, ",") {
		tag, q, found := strings.Cut(strings.TrimSpace(part), ";")
		w := 1.0
		if found {
			if f, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(q), "q="), 64); err == nil {
				w = f
			}
		}
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		for _, l := range Langs {
			if primary == string(l) && w > weight {
				best, weight = l, w
			}
		}
	}
	return best
}
