package modules

import "context"

type actorKey struct{}

// WithActor marks what is done under the context as the doing of a session: whoever is told of a changed password or a
// deleted account then knows which session must still get its answer.
func WithActor(ctx context.Context, s Session) context.Context {
	return context.WithValue(ctx, actorKey{}, s)
}

// ActorOf returns the session that WithActor named, or nil.
func ActorOf(ctx context.Context) Session { s, _ := ctx.Value(actorKey{}).(Session); return s }

type undoKey struct{}

// WithUndo marks the end of an account under the context as that of one which was only being made, and could not be: it is as
// if it had never been, so nobody elsewhere is told that it ends, and nothing is kept of it.
func WithUndo(ctx context.Context) context.Context { return context.WithValue(ctx, undoKey{}, true) }

// IsUndo tells whether the context is one of WithUndo.
func IsUndo(ctx context.Context) bool { return ctx.Value(undoKey{}) != nil }
