/* Shared by print.c (files, statements, comments) and print_node.c (what stands inside one statement).
   Assumes documents made here are laid out before their arena goes. */
#ifndef ECT_PRINT_H
#define ECT_PRINT_H
#include "dsl/ast.h"
#include "dsl/doc.h"

Doc *doc_cats(Arena *a, Doc **v, size_t n);                     /* NULLs are skipped */
Doc *print_expr(Arena *a, const Node *n);
Doc *print_type(Arena *a, const Node *n);
Doc *print_params(Arena *a, const NodeList *l);                 /* with parentheses */
Doc *print_bind(Arena *a, const Node *n);                       /* BIND, PARAM, USE, S_PARAM: name ... = value */
Doc *print_list(Arena *a, const NodeList *l, Doc *(*item)(Arena *, const Node *));   /* a, b, c */
#endif
