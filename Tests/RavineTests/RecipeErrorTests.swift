import CRavine
import Testing

@testable import Ravine

/// What is said about recipes that are wrong, and where.
struct RecipeErrorTests {
  static let errors: [(text: String, line: Int, column: Int, fragment: String)] = [
    // what is there at all
    ("", 1, 1, "expected a stage or a rule, found the end"),
    ("  # nothing\n ", 2, 2, "expected a stage or a rule, found the end"),
    ("5", 1, 1, "expected a stage or a rule, found '5'"),
    ("\u{1}", 1, 1, "found byte 1"),
    ("sgd sgd", 1, 5, "expected '|', ';' or the end, found 'sgd'"),
    ("sgd)", 1, 4, "found ')'"),
    ("clip_norm(1) |", 1, 15, "expected a stage or a rule, found the end"),
    ("sgd |", 1, 6, "expected a stage or a rule, found the end"),
    ("sgd | lion", 1, 7, "lion is a second rule, after sgd"),
    (
      "sgd | ema | clip_norm(1)", 1, 13,
      "clip_norm changes the gradient, and stands before the rule sgd"
    ),
    ("ema | sgd", 1, 1, "ema stands behind the rule"),
    ("decay(0.1) | sgd", 1, 1, "decay stands behind the rule"),
    (
      "sgd | decay(0.1, coupled)", 1, 7,
      "decay changes the gradient, and stands before the rule sgd"
    ),
    ("sgd | decay(0.1, corrected)", 1, 7, "decay: kind=corrected needs lr_max, the largest rate"),
    ("clip_norm(1)", 1, 13, "needs a rule: sgd, "),
    ("clip_value(1); a: frozen", 1, 14, "the chain ends in the stage clip_value"),
    ("cosine(1, 2)", 1, 1, "expected a stage or a rule, but cosine is a schedule"),
    ("sgd#2", 1, 1, "there is no 'sgd#2'"),
    // arguments
    ("sgd(", 1, 5, "found the end"),
    ("sgd(0.1", 1, 8, "expected ',' or ')', found the end"),
    ("sgd(0.1,)", 1, 9, "expected a number or a schedule for sgd.momentum"),
    ("sgd(0.1 0.2)", 1, 9, "expected ',' or ')', found '0.2'"),
    ("sgd(lr)", 1, 5, "there is no 'lr'"),
    ("sgd(lr=0.1, 0.9)", 1, 13, "a value without a name after one with a name"),
    ("sgd(0.1, lr=0.1)", 1, 10, "'lr' of sgd is given twice"),
    ("lion(1, 0, 0, 0, full, 0)", 1, 24, "lion takes 5 values at most"),
    ("sgd(\n  0.1,\n  nope=1)", 3, 3, "sgd has no parameter 'nope'; it has lr, momentum, "),
    ("clip_norm | sgd", 1, 1, "clip_norm needs 'max'"),
    ("sgd(cosine(1))", 1, 5, "cosine needs 'steps'"),
    // numbers
    ("sgd(-1)", 1, 5, "sgd.lr is -1, which is outside [0, "),
    ("lion(beta1=1)", 1, 12, "lion.beta1 is 1, which is outside [0, 1)"),
    ("clip_norm(0) | sgd", 1, 11, "clip_norm.max is 0, which is outside (0, "),
    ("sgd(nan)", 1, 5, "there is no 'nan'"),
    ("sgd(1e999)", 1, 5, "the number is too large"),
    ("sgd(1e306k)", 1, 5, "the number is too large"),
    ("sgd(1x)", 1, 5, "a number ends in letters that mean nothing"),
    ("sgd(1kk)", 1, 5, "a number ends in letters that mean nothing"),
    ("sgd(1..2)", 1, 5, "a number ends in letters that mean nothing"),
    ("sgd(nesterov=2)", 1, 14, "sgd.nesterov is 2, which is outside [0, 1]"),
    ("sgd(nesterov=0.5)", 1, 14, "sgd.nesterov is 0.5, which is not 0 or 1"),
    ("clip_value(1) | sgd(nesterov=1)", 1, 17, "sgd.nesterov needs momentum, which is 0"),
    ("sgd; a: sgd(nesterov=1)", 1, 9, "sgd.nesterov needs momentum, which is 0"),
    ("sgd(nesterov=yes)", 1, 14, "expected a number for sgd.nesterov, found 'yes'"),
    ("sgd(cosine(1, steps=1.5))", 1, 21, "cosine.steps is 1.5, which is not a whole number"),
    ("sgd(cosine(1, steps=0))", 1, 21, "cosine.steps is 0, which is outside [1, "),
    ("sgd(cosine(1, steps=linear(1, 2, 3)))", 1, 21, "expected a number for cosine.steps"),
    ("finite_guard(limit=constant(3)) | sgd", 1, 20, "expected a number for finite_guard.limit"),
    // words and lists
    (
      "sgd(decay=couple)", 1, 11,
      "is one of coupled, decoupled, not 'couple'; did you mean 'coupled'?"
    ),
    ("sgd(decay=)", 1, 11, "expected one of coupled, decoupled for sgd.decay, found ')'"),
    ("sgd(decay=\"coupled)", 1, 11, "the quote is not closed"),
    ("sgd(decay=0)", 1, 11, "not '0'"),
    ("sgd(multistep(1, at=5))", 1, 21, "expected numbers in parentheses for multistep.at"),
    ("sgd(multistep(1, at=()))", 1, 23, "multistep.at needs one number at least"),
    ("sgd(multistep(1, at=(5 6)))", 1, 24, "expected ',' or ')', found '6'"),
    ("sgd(multistep(1, at=(5, x)))", 1, 25, "expected a number or ')', found 'x'"),
    ("sgd(multistep(1, at=(5, -1)))", 1, 25, "multistep.at is -1, which is outside"),
    ("sgd(multistep(1, at=(5, 5)))", 1, 5, "at must rise, but 5 follows 5"),
    // schedules
    ("sgd(lion)", 1, 5, "for sgd.lr, but lion is a rule"),
    ("sgd(linear(-1, 1, 5))", 1, 5, "sgd.lr is -1, which is outside"),
    (
      "sgd(cosine(linear(1, 2, 3), 5))", 1, 12, "expected a number for cosine.value, found 'linear'"
    ),
    ("sgd(linear(inf, 0, steps=5))", 1, 12, "linear.value is inf, which is outside (-inf, inf)"),
    // clauses
    ("sgd; : frozen", 1, 6, "expected a pattern for tensor names"),
    ("sgd; a", 1, 7, "expected ':' after the patterns of a clause, found the end"),
    ("sgd; a:", 1, 8, "expected 'frozen', parameter=value, or a rule, found the end"),
    ("sgd; a: frozen, b", 1, 15, "expected '|', ';' or the end, found ','"),
    ("sgd; a: 5", 1, 9, "expected 'frozen', parameter=value, or a rule, found '5'"),
    ("sgd; a: clip_norm(1)", 1, 9, "clip_norm is a stage; a clause can change the rule only"),
    ("sgd; a: lion | sgd", 1, 9, "a clause can change the rule, but not the stages"),
    ("sgd; a: nope=1", 1, 9, "sgd has no parameter 'nope'"),
    ("sgd; a: lr=0.1, frozen", 1, 17, "expected parameter=value, found 'frozen'"),
    ("sgd; a: lr=-1", 1, 12, "lr is -1, which is outside"),
    ("sgd; a: nesterov=x2", 1, 18, "expected a number"),
    ("sgd(x2)", 1, 5, "there is no 'x2'"),
    ("clip_norm(1) | sgd; a: clip_norm.max=2", 1, 24, "clip_norm is one for all tensors"),
    ("accumulate(4) | sgd; a: accumulate.n=2", 1, 25, "accumulate is one for all tensors"),
    ("accumulate(4) | accumulate(2) | sgd", 1, 17, "accumulate stands behind another of its kind"),
    ("sam | clip_norm(1) | asam | sgd", 1, 22, "asam stands behind another of its kind"),
    ("sam | accumulate(4) | sgd", 1, 7, "accumulate stands behind sam, not before"),
    ("sgd; @rank: frozen", 1, 6, "'@rank' is not a test such as @rank<2"),
    ("sgd; @depth<2: frozen", 1, 6, "'@depth<2' is not a test"),
    ("sgd; @rank<>2: frozen", 1, 6, "'@rank<>2' is not a test"),
    ("sgd; @size<1234567890123456789: frozen", 1, 6, "is not a test"),
    ("sgd; \"\": frozen", 1, 8, "expected a pattern"),
    ("sgd; \"a: frozen", 1, 6, "the quote is not closed"),
    // columns count characters, not bytes
    ("sgd; Straße, 重み: frozn", 1, 18, "no rule is called 'frozn'"),
  ]

  @Test func sentencesSayWhereAndWhat() {
    for (text, line, column, fragment) in Self.errors {
      let error = failure { _ = try parse(text) }
      let message = error?.message.string ?? "no error"
      #expect(error?.status == RVN_ERR_RECIPE, "\(text)")
      #expect(
        message.hasPrefix("recipe:\(line):\(column): ") && message.contains(fragment),
        "\(text) gives: \(message)")
    }
  }

  @Test func namesAreSuggested() {
    for (text, name) in [
      ("adamm", "adam"), ("adma", "adam"), ("admaw", "adamw"), ("sdg", "sgd"),
      ("rms_prop", "rmsprop"),
      ("clipnorm(1) | sgd", "clip_norm"), ("finiteguard | sgd", "finite_guard"),
      ("sgd(cosin(1, 2))", "cosine"),
      ("adamw(weigth_decay=1)", "weight_decay"), ("adamw(beta3=1)", "beta1"),
      ("adamw(weightdecay=1)", "weight_decay"),
      ("clip_norm(1, compat=optx) | sgd", "optax"), ("sgd; a: momntum=1", "momentum"),
      ("sgd; a: loin", "lion"),
      ("clip_value(1) | sgd; a: clip_vale.max=1", "clip_value.max"),
    ] {
      let message = sentence { _ = try parse(text) }
      #expect(message.hasSuffix("; did you mean '\(name)'?"), "\(text) gives: \(message)")
    }
    #expect(
      sentence { _ = try parse("adamw(weigth_decay=1)") }
        == "recipe:1:7: adamw has no parameter 'weigth_decay'; did you mean 'weight_decay'?")
  }

  @Test func namesThatAreFarAreNotSuggested() {
    for text in ["xyzzy", "q", "transformer", String(repeating: "adam", count: 20)] {
      #expect(!sentence { _ = try parse(text) }.contains("did you mean"), "\(text)")
    }
  }

  @Test func editsAreCounted() {
    for (a, b, distance) in [
      ("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("abc", "abd", 1),
      ("abc", "acb", 1),
      ("abc", "ab", 1), ("abc", "xabc", 1), ("kitten", "sitting", 3), ("ab", "ba", 1),
      ("abcdef", "badcfe", 3),
    ] {
      #expect(editDistance(Array(a.utf8), Array(b.utf8)) == distance, "\(a) \(b)")
    }
  }

  // MARK: limits

  private func repeated(_ part: String, _ count: Int, _ separator: String = "") -> String {
    Array(repeating: part, count: count).joined(separator: separator)
  }

  @Test func lengthIsLimited() throws {
    _ = try parse("sgd #" + repeated("x", Limits.text - 5))
    #expect(
      sentence { _ = try parse("sgd #" + repeated("x", Limits.text - 4)) }
        == "recipe:1:1: longer than 65536 bytes, which is the limit")
  }

  @Test func depthIsLimited() throws {
    func nested(_ n: Int) -> String {
      "sgd(" + repeated("warmup(", n) + "1" + repeated(", 2)", n) + ")"
    }
    _ = try parse(nested(Limits.depth - 1))
    #expect(
      sentence { _ = try parse(nested(Limits.depth)) }.contains(
        "nested deeper than \(Limits.depth)"))
    #expect(sentence { _ = try parse(nested(5000)) }.contains("nested deeper than \(Limits.depth)"))
    _ = try parse("sgd; a: " + nested(Limits.depth - 1))
    #expect(
      sentence { _ = try parse("sgd; a: " + nested(Limits.depth)) }.contains(
        "nested deeper than \(Limits.depth)"))
  }

  @Test func stagesAreLimited() throws {
    _ = try parse(repeated("clip_value(1) | ", Limits.stages) + "sgd")
    #expect(
      sentence { _ = try parse(repeated("clip_value(1) | ", Limits.stages + 1) + "sgd") }
        .contains("more than 32 stages"))
  }

  @Test func clausesAndPatternsAreLimited() throws {
    _ = try parse("sgd" + repeated(";a:lr=1", Limits.clauses))
    #expect(
      sentence { _ = try parse("sgd" + repeated(";a:lr=1", Limits.clauses + 1)) }.contains(
        "more than 1024 clauses"))
    _ = try parse("sgd;" + repeated("a", 32, ",") + ":frozen")
    #expect(
      sentence { _ = try parse("sgd;" + repeated("a", 33, ",") + ":frozen") }.contains(
        "more than 32 patterns"))
    let model = try Model("sgd" + repeated(";a:lr=1", Limits.clauses - 1))
    try model.optimizer.override(Array("a".utf8), Array("lr=1".utf8))
    #expect(
      failure { try model.optimizer.override(Array("b".utf8), Array("lr=1".utf8)) }?.status
        == RVN_ERR_ARGUMENT)
    #expect(failure { try model.optimizer.set(Array("b:lr".utf8), 1) }?.status == RVN_ERR_ARGUMENT)
  }

  @Test func listsAreLimited() throws {
    func list(_ n: Int) -> String {
      "sgd(multistep(1, (" + (1...n).map(String.init).joined(separator: ",") + ")))"
    }
    _ = try parse(list(Limits.list))
    #expect(sentence { _ = try parse(list(Limits.list + 1)) }.contains("more than 4096 numbers"))
    func parts(_ n: Int) -> String { "sgd(total((" + repeated("1,", n) + ")))" }
    _ = try parse(parts(Limits.parts))
    #expect(sentence { _ = try parse(parts(Limits.parts + 1)) }.contains("more than 64 schedules"))
  }

  /// Sentences and checkpoints repeat parts of a recipe, and both are UTF-8.
  @Test func bytesThatAreNotUTF8AreRefused() {
    for bytes in [[0xff], [0xc3], [0xe9, 0x87], [0xed, 0xa0, 0x80], [0xc0, 0xaf]] as [[UInt8]] {
      for text in [
        bytes, Array("sgd; ".utf8) + bytes + Array(": frozen".utf8),
        Array("sgd; \"".utf8) + bytes + Array("\": frozen".utf8),
      ] {
        let error = failure { _ = try Parser.recipe(text) }
        #expect(error?.status == RVN_ERR_RECIPE)
        if let error { #expect(malformedUTF8(error.message.bytes) == nil) }
      }
    }
    // A character that begins before the cut of what was found ends behind it.
    let long = failure { _ = try parse("sgd " + String(repeating: "ß", count: 20)) }
    #expect(
      long.map { malformedUTF8($0.message.bytes) == nil } == true, "\(long?.message.string ?? "")")
  }
}
