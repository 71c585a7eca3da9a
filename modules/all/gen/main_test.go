package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The pages in doc/ are what the modules are now.
func TestPagesAreCurrent(t *testing.T) {
	files, err := render("../../hooks.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("../../../doc", name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("doc/%s is out of date: run go generate ./modules/all", name)
		}
	}
}

func TestEveryHookIsDescribed(t *testing.T) {
	docs, err := comments("../../hooks.go")
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := registered()
	if err != nil {
		t.Fatal(err)
	}
	if len(hooks) != len(docs) {
		t.Errorf("Hooks has %d fields, the loader knows %d", len(docs), len(hooks))
	}
	for _, h := range hooks {
		if docs[h.Hook] == "" {
			t.Errorf("%s has no comment", h.Hook)
		}
	}
}
