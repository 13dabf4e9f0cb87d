/* The headers of the tree and of the graph together: both call their node type Node, so here the tree's is Ast.
   Include this first, in files that need both. */
#ifndef ECT_BOTH_H
#define ECT_BOTH_H
#define Node Ast
#include "dsl/parse.h"
#undef Node
#include "compiler/graph.h"
#endif
