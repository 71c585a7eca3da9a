package main

import (
	"net/http"
	"net/http/pprof"
)

// withProfiles adds Go's profiles to the admin API (serve -pprof): what takes CPU time, memory, locks. They name functions and
// numbers and show nothing of what the functions worked on.
func withProfiles(api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // by name: heap, allocs, goroutine, ...
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
