import CRavine
import Testing

@testable import Ravine

/// Which tensors a clause is for.
struct PatternTests {
  private func matches(_ glob: String, _ name: String) -> Bool {
    let (glob, name) = (Array(glob.utf8), Array(name.utf8))
    return glob.withUnsafeBufferPointer { glob in
      name.withUnsafeBufferPointer { Ravine.matches(glob, $0) }
    }
  }

  @Test func starsStandForAnyBytes() {
    for (glob, name) in [
      ("*", ""), ("*", "w"), ("**", "w"), ("w", "w"), ("w*", "w"), ("*w", "w"), ("*w*", "w"),
      ("*.bias", "a.bias"),
      ("*.bias", ".bias"), ("*.bias", "a.bias.bias"), ("a*c", "ac"), ("a*c", "abcbc"),
      ("a*b*c", "abc"),
      ("a*b*c", "a1b2b3c"), ("*a*b*", "xxaybzz"), ("*ab", "aab"), ("*aab", "aaaab"), ("a*a", "aa"),
      ("", ""),
      ("layer.*.attn.*.w", "layer.12.attn.q.w"), ("重*", "重み"), ("*ß*", "Straße"),
      ("*\u{308}", "a\u{308}"),
      ("[a]", "[a]"),
    ] {
      #expect(matches(glob, name), "'\(glob)' and '\(name)'")
    }
  }

  @Test func otherNamesDoNotMatch() {
    for (glob, name) in [
      ("", "w"), ("w", ""), ("w", "ww"), ("ww", "w"), ("w", "W"), ("*.bias", "bias"),
      ("*.bias", "a.bias2"),
      ("a*a", "a"), ("a*b*c", "acb"), ("*ab*ab", "ab"), ("a*b", "abc"), ("layer.*.w", "layer.w"),
      ("[a]", "a"),
      ("?", "w"), ("\u{e4}", "a\u{308}"), ("*ß", "ss"), ("*x*", ""),
    ] {
      #expect(!matches(glob, name), "'\(glob)' and '\(name)'")
    }
  }

  /// Trying every split would take longer than the universe has.
  @Test func manyStarsCostLittle() {
    let glob = String(repeating: "a*", count: 100) + "b", name = String(repeating: "a", count: 255)
    #expect(!matches(glob, name))
    #expect(matches(glob, name + "b"))
  }

  @Test func ranksAndSizesAreCompared() throws {
    let model = try Model("sgd")
    try model.add("s", []).add("v", [7]).add("m", [2, 3]).add("e", [4, 0, 2])
    let tensors: [(name: String, rank: Int, size: Int)] = [
      ("s", 0, 1), ("v", 1, 7), ("m", 2, 6), ("e", 3, 0),
    ]
    for (i, t) in tensors.enumerated() {
      for n in 0..<8 {
        for (sign, holds) in [
          ("<", { $0 < $1 }), ("<=", { $0 <= $1 }), (">", { $0 > $1 }), (">=", { $0 >= $1 }),
          ("=", { $0 == $1 }),
          ("==", { $0 == $1 }),
        ] as [(String, (Int, Int) -> Bool)] {
          for (word, x) in [("rank", t.rank), ("size", t.size)] {
            let pattern = try Parser.patterns(Array("@\(word)\(sign)\(n)".utf8))
            #expect(
              pattern[0].matches(model.optimizer.tensors[i]) == holds(x, n),
              "@\(word)\(sign)\(n) \(t.name)")
          }
        }
      }
    }
  }

  @Test func aQuotedPatternIsAGlob() throws {
    let model = try Model("sgd; \"@rank<2\": lr=1; \"a *\": lr=2; *: lr=x3")
    try model.add("@rank<2", [1]).add("a b", [1])
    #expect(try model.optimizer.get(Array("\"@rank<2\":lr".utf8)) == 3)
    #expect(try model.optimizer.get(Array("\"a b\":lr".utf8)) == 6)
  }

  @Test func keysAreTakenApartAtTheLastColon() throws {
    let key = Key(Array("\"a:b\", c:clip_norm.max".utf8))
    #expect(key.name.string == "clip_norm.max")
    #expect(key.patterns.map { Text($0).string } == "\"a:b\", c")
    #expect(Key(Array("lr".utf8)).patterns == nil)
  }

  @Test func patternsBeforeAnyTensorAreAnError() throws {
    for recipe in ["sgd", "sgd; a: lr=1"] {
      let model = try Model(recipe)
      #expect(failure { _ = try model.optimizer.get(Array("*:lr".utf8)) }?.status == RVN_ERR_STATE)
    }
  }
}
