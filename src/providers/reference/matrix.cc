// MatMul, Gemm, Einsum, Det: sums of products, each summed in double (integers: wrapping) and rounded once.
#include "providers/reference/matrix.h"

#include <math.h>

#include <algorithm>
#include <map>

#include "providers/reference/elementwise.h"
#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

Status MatMul(Call& c) {
  return ForWide(c.dtype(0), [&]<class T>() { return c.Out(0, Product(c.In<T>(0), c.In<T>(1))); });
}

/// alpha A' B' + beta C. For integers alpha and beta other than 1 are applied in double and the result is cut.
Status Gemm(Call& c) {
  const double alpha = c.Float("alpha", 1), beta = c.Float("beta", 1);
  const bool ta = c.Flag("transA"), tb = c.Flag("transB");
  return ForWide(c.dtype(0), [&]<class T>() {
    const Array<T> a = c.In<T>(0), b = c.In<T>(1), added = c.Has(2) ? c.In<T>(2) : Array<T>(Shape::OfRank(0));
    const int64_t m = a.shape[ta], k = a.shape[!ta], n = b.shape[!tb];
    Array<T> ab(Shape{m, n});
    ForEachIndex(ab.shape, [&](const Index& at, int64_t to) {
      T sum = 0;
      for (int64_t l = 0; l < k; ++l)
        sum = Plus(sum, Times(a[ta ? l * m + at[0] : at[0] * k + l], b[tb ? at[1] * k + l : l * n + at[1]]));
      ab[to] = sum;
    });
    if (alpha == 1 && beta == 1) return c.Out(0, Combine(ab, added, Plus<T>));
    return c.Out(0, Combine(ab, added, [=](T x, T y) {
                   return alpha * static_cast<double>(x) + (beta == 0 ? 0 : beta * static_cast<double>(y));
                 }));
  });
}

/// An equation with every index as one letter: terms, then the output. "..." becomes the digits of the dimensions it
/// stands for, counted from the last.
std::vector<std::string> EinsumTerms(const Call& c) {
  std::string text = c.Text("equation", "");
  std::erase(text, ' ');
  const size_t arrow = text.find("->");
  std::vector<std::string> terms(1);
  for (char ch : text.substr(0, arrow)) {
    if (ch == ',') terms.emplace_back();
    else terms.back() += ch;
  }
  std::string spread;   // the longest ellipsis
  auto expand = [](std::string* term, const std::string& digits) {
    if (const size_t dots = term->find("..."); dots != std::string::npos) term->replace(dots, 3, digits);
  };
  for (size_t i = 0; i < terms.size(); ++i) {
    std::string digits;
    const int own = static_cast<int>(terms[i].size()) - 3, hidden = c.rank(static_cast<int>(i)) - own;
    for (int d = hidden - 1; d >= 0; --d) digits += static_cast<char>('0' + d);
    if (terms[i].find("...") != std::string::npos && digits.size() > spread.size()) spread = digits;
    expand(&terms[i], digits);
  }
  if (arrow != std::string::npos) {
    terms.push_back(text.substr(arrow + 2));
    expand(&terms.back(), spread);
    return terms;
  }
  // Without an arrow: the ellipsis, then every letter that occurs once, in alphabetical order.
  std::map<char, int> count;
  for (const std::string& term : terms) for (char ch : term) ++count[ch];
  terms.push_back(spread);
  for (auto [ch, times] : count) if (times == 1 && !(ch >= '0' && ch <= '9')) terms.back() += ch;
  return terms;
}

/// For every value of all indices: the product of the operands' elements, added to the output's element.
Status Einsum(Call& c) {
  const std::vector<std::string> terms = EinsumTerms(c);
  std::map<char, int64_t> sizes;
  for (int i = 0; i < c.inputs(); ++i) {
    for (int d = 0; d < c.rank(i); ++d) {
      int64_t& size = sizes[terms[U(i)][U(d)]];
      size = size == 0 || size == 1 ? c.shape(i)[d] : size;
    }
  }
  std::string letters;
  std::vector<int64_t> extents;
  for (auto [letter, size] : sizes) letters += letter, extents.push_back(size);
  return ForWide(c.dtype(0), [&]<class T>() -> Status {
    std::vector<Array<T>> operands;
    for (int i = 0; i < c.inputs(); ++i) operands.push_back(c.In<T>(i));
    Shape shape = Shape::OfRank(0);
    for (char letter : terms.back()) shape.Append(sizes[letter]);
    Array<T> y(shape);
    std::vector<int64_t> at(letters.size(), 0);
    auto offset = [&](const std::string& term, const Shape& of) {
      int64_t o = 0;
      for (int d = 0; d < of.rank(); ++d) o = o * of[d] + (of[d] == 1 ? 0 : at[letters.find(term[U(d)])]);
      return o;
    };
    if (std::count(extents.begin(), extents.end(), 0)) return c.Out(0, y);
    for (bool more = true; more;) {
      T product = 1;
      for (size_t i = 0; i < operands.size(); ++i) product = Times(product, operands[i][offset(terms[i], operands[i].shape)]);
      T& sum = y[offset(terms.back(), shape)];
      sum = Plus(sum, product);
      more = false;
      for (size_t d = at.size(); d-- > 0 && !more;) {
        more = ++at[d] < extents[d];
        if (!more) at[d] = 0;
      }
    }
    return c.Out(0, y);
  });
}

/// By elimination with partial pivoting.
Status Det(Call& c) {
  const Reals x = c.In(0);
  const int64_t n = x.shape[x.shape.rank() - 1];
  Reals y(Shape(x.shape.dims().first(U(x.shape.rank() - 2))));
  for (int64_t m = 0; m < y.size(); ++m) {
    std::vector<double> a(x.data.begin() + m * n * n, x.data.begin() + (m + 1) * n * n);
    auto cell = [&](int64_t i, int64_t j) -> double& { return a[U(i * n + j)]; };
    double det = 1;
    for (int64_t k = 0; k < n; ++k) {
      int64_t pivot = k;
      for (int64_t i = k; i < n; ++i) if (fabs(cell(i, k)) > fabs(cell(pivot, k))) pivot = i;
      if (pivot != k) det = -det;
      for (int64_t j = 0; j < n; ++j) std::swap(cell(k, j), cell(pivot, j));
      det *= cell(k, k);
      for (int64_t i = k + 1; i < n && cell(k, k) != 0; ++i) {
        const double factor = cell(i, k) / cell(k, k);
        for (int64_t j = k; j < n; ++j) cell(i, j) -= factor * cell(k, j);
      }
    }
    y[m] = det;
  }
  return c.Out(0, y);
}

constexpr Row kRows[] = {{"MatMul", MatMul}, {"Gemm", Gemm}, {"Einsum", Einsum}, {"Det", Det}};

}  // namespace

std::span<const Row> MatrixRows() { return kRows; }

}  // namespace linnet::reference
