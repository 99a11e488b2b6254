/*
 * A check of passwords (check_password_hook) as credcheck has it: of a password whose text it does not see it says what credcheck
 * says, and of one that it sees that it has to have a digit. Which SQLSTATE it answers with is in the macro REFUSAL.
 *
 * Written without PostgreSQL's headers, which are not where only its programs are. What is declared here is its binary interface of
 * version PG / 100, the same in all minor releases.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ABI "PostgreSQL"

#if PG >= 180000
struct magic {
  int len;
  struct { int version, funcmaxargs, indexmaxkeys, namedatalen, float8byval; char abi_extra[32]; } abi;
  const char *name, *version;
};
static const struct magic magic = {sizeof(struct magic), {PG / 100, 100, 32, 64, 1, ABI}, 0, 0};
#elif PG >= 150000
struct magic { int len, version, funcmaxargs, indexmaxkeys, namedatalen, float8byval; char abi_extra[32]; };
static const struct magic magic = {sizeof(struct magic), PG / 100, 100, 32, 64, 1, ABI};
#else
struct magic { int len, version, funcmaxargs, indexmaxkeys, namedatalen, float8byval; };
static const struct magic magic = {sizeof(struct magic), PG / 100, 100, 32, 64, 1};
#endif

const struct magic *Pg_magic_func(void) { return &magic; }

/* PasswordType, Datum. */
typedef void (*hook)(const char *role, const char *password, int type, uintptr_t valid_until, bool is_for_ever);
extern hook check_password_hook;

extern bool errstart(int level, const char *domain);
extern int errcode(int code);
extern int errmsg_internal(const char *format, ...);
extern void errfinish(const char *file, int line, const char *function);

#define PLAINTEXT 0
#define ERROR 21
#define SIX(c) (((c) - '0') & 0x3f)

static void refuse(const char *code, const char *message) {
  if (errstart(ERROR, 0)) {
    errcode(SIX(code[0]) + (SIX(code[1]) << 6) + (SIX(code[2]) << 12) + (SIX(code[3]) << 18) + (SIX(code[4]) << 24));
    errmsg_internal("%s", message);
    errfinish(__FILE__, __LINE__, __func__);
  }
}

static void check(const char *role, const char *password, int type, uintptr_t valid_until, bool is_for_ever) {
  (void)role, (void)valid_until, (void)is_for_ever;
  if (type != PLAINTEXT)
    refuse(REFUSAL, "password type is not a plain text");
  if (!strpbrk(password, "0123456789"))
    refuse("22023", "password has no digit");
}

void _PG_init(void) { check_password_hook = check; }
